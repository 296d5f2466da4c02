import BlockEngine
import BlockVirtio
import EventLoop
import SharedMemory
import TestSupport
import Testing
import VirtioInterface
import VirtioRing

/// What a migrating VMM has to copy again: every page of the guest that the disk has written to is marked, and no other one.
@Suite struct DirtyLogTests {
  /// A log that begins at guest address 0.
  private final class Log {
    let bytes: SharedBytes

    init(_ disk: VirtioDisk) throws {
      bytes = try SharedRegion(anonymousByteCount: 4096).bytes
      disk.memory.dirtyLog.use(bytes)
      disk.memory.dirtyLog.setActive(true)
    }

    /// The marked pages, by number.
    var pages: Set<Int> {
      Set((0..<bytes.byteCount * 8).filter { bytes.load8(at: $0 / 8) & (1 << UInt8($0 % 8)) != 0 })
    }
  }

  /// The pages of a request's writable bytes.
  private func pages(_ sent: VirtioDisk.Sent) -> Set<Int> {
    Set(sent.writable.flatMap { place in
      let first = Int(VirtioDisk.guestAddress) + place.offset
      return first / 4096...(first + place.count - 1) / 4096
    })
  }

  enum Backing: CaseIterable { case memory, directFile, unalignedDirectFile, bufferedFile }

  @Test(arguments: Backing.allCases)
  func dataThatIsReadIntoTheGuestIsMarked(backing: Backing) throws {
    let image = try TestDisk(byteCount: 1 << 20)
    let spec =
      backing == .memory ? BlockStoreSpec(.memory(byteCount: 1 << 20)) : BlockStoreSpec(.file(path: image.path), isDirect: backing != .bufferedFile)
    let disk = try VirtioDisk(spec)
    defer { disk.close() }
    try disk.write(pattern(1, byteCount: 65536), sector: 0)
    let log = try Log(disk)
    let skew = backing == .unalignedDirectFile ? 7 : 0
    let sent = try disk.send([VirtioDisk.header(0)], writable: [8192, 40960, 512, 1], skew: skew)
    let answer = try disk.wait(for: sent)
    #expect(answer.status == .okay && answer.data == pattern(1, byteCount: 49664))
    #expect(log.pages == pages(sent))
  }

  @Test func aWriteMarksItsStatusOnly() throws {
    let disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: 1 << 20)))
    defer { disk.close() }
    let log = try Log(disk)
    let sent = try disk.send([VirtioDisk.header(1), pattern(1, byteCount: 32768)], writable: [1])
    #expect(try disk.wait(for: sent).status == .okay)
    #expect(log.pages == pages(sent) && log.pages.count == 1)
  }

  @Test func theIdentityIsMarked() throws {
    let disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: 1 << 20)))
    defer { disk.close() }
    let log = try Log(disk)
    let sent = try disk.send([VirtioDisk.header(8)], writable: [20, 1])
    #expect(try disk.wait(for: sent).status == .okay)
    #expect(log.pages == pages(sent))
  }

  /// A request that was sent before the migration began, and ends after that, is the migration's too.
  @Test func aReadThatEndsInAMigrationIsMarkedAlthoughItBeganBefore() throws {
    let image = try TestDisk(byteCount: 1 << 20)
    let disk = try VirtioDisk(BlockStoreSpec(.file(path: image.path)))
    defer { disk.close() }
    let sent = try disk.send([VirtioDisk.header(0)], writable: [65536, 1])
    // Taken and given to the kernel.
    while disk.device.queueStatus[0].requests == 0 { disk.loop.turn(maySleep: false) }
    let isUnderWay = disk.device.queueStatus[0].inFlight == 1
    let log = try Log(disk)
    #expect(try disk.wait(for: sent).status == .okay)
    #expect(!isUnderWay || log.pages == pages(sent), "\(log.pages) of \(pages(sent))")
  }

  @Test func nothingIsMarkedWhenTheMigrationIsOver() throws {
    let disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: 1 << 20)))
    defer { disk.close() }
    let log = try Log(disk)
    disk.memory.dirtyLog.setActive(false)
    _ = try disk.read(sector: 0, byteCount: 4096)
    #expect(log.pages.isEmpty)
  }
}
