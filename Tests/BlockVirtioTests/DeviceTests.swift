import BlockEngine
import BlockVirtio
import EventLoop
import SharedMemory
import TestSupport
import Testing
import VirtioInterface
import VirtioRing
import XenInterface

@testable import VhostUser

/// What a disk says of itself, how its queues stop, and what a broken one does to others.
@Suite struct DeviceTests {
  private func configuration(_ disk: VirtioDisk) -> VirtioBlockConfiguration {
    let bytes = disk.device.configuration
    return VirtioBlockConfiguration(copying: WireBytes(bytes + [UInt8](repeating: 0, count: max(0, 72 - bytes.count))), at: 0)
  }

  @Test func theConfigurationSaysWhatTheDiskIs() throws {
    let disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: 1 << 20), sectorByteCount: 4096), queueCount: 3)
    defer { disk.close() }
    let space = configuration(disk)
    #expect(space.capacity == 2048 && space.blockByteCount == 4096 && space.queueCount == 3 && space.isWriteBack == 1)
    #expect(space.segmentCountMaximum > 0 && space.discardSegmentCountMaximum == 1 && space.writeZeroesSegmentCountMaximum == 1)
    #expect(space.discardSectorAlignment == 8 && space.writeZeroesMayUnmap == 1)
    let features = VirtioBlockFeatures(rawValue: disk.device.features.rawValue)
    #expect(features.isSuperset(of: [.maximumSegmentCount, .blockSize, .topology, .flush, .multipleQueues, .discard, .writeZeroes]))
    #expect(!features.contains(.readOnly) && !features.contains(.configurableCache) && !features.contains(.secureErase))
  }

  @Test func aSizeThatChangesIsToldAndUsed() throws {
    let image = try TestDisk(byteCount: 1 << 20)
    let disk = try VirtioDisk(BlockStoreSpec(.file(path: image.path)))
    defer { disk.close() }
    var told = 0
    disk.device.notifyConfigurationChange = { told += 1 }
    try image.setByteCount(2 << 20)
    #expect(try disk.perform([VirtioDisk.header(0, sector: 3000)], writable: [4096, 1]).status == .error)
    _ = try disk.device.refreshSize()
    #expect(told == 1 && configuration(disk).capacity == 4096)
    #expect(try disk.perform([VirtioDisk.header(0, sector: 3000)], writable: [4096, 1]).status == .okay)
  }

  @Test func aBrokenQueueStopsAloneAndSaysSoOnce() throws {
    let disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: 1 << 20)), queueCount: 2)
    defer { disk.close() }
    try disk.write(pattern(1, byteCount: 512), sector: 0)
    // Far more than the queue has entries.
    disk.queues[0].parts.driver.store16(1000, at: 2)
    for _ in 0..<10 { disk.loop.turn(maySleep: false) }
    #expect(disk.faults.count == 1)
    if case .availableIndex(claimed: 1000, _, _) = disk.faults.first {} else { Issue.record("another fault: \(disk.faults)") }
    let answer = try disk.perform([VirtioDisk.header(0)], writable: [512, 1], on: 1)
    #expect(answer.status == .okay && answer.data == pattern(1, byteCount: 512))
    #expect(disk.device.queueStatus.map { $0.fault != nil } == [true, false])
  }

  @Test func aQueueStopsWhenWhatItTookIsAnswered() throws {
    let image = try TestDisk(byteCount: 1 << 20)
    do {
      let disk = try VirtioDisk(BlockStoreSpec(.file(path: image.path)))
      let sent = try (0..<16).map { try disk.send([VirtioDisk.header(1, sector: UInt64($0 * 8)), pattern($0, byteCount: 4096)], writable: [1]) }
      disk.loop.turn(maySleep: false)
      // Closing stops the queue, waits for that, and ends the device.
      disk.close()
      for one in sent { #expect(try disk.answer(to: one)?.status == .okay) }
    }
    let again = try VirtioDisk(BlockStoreSpec(.file(path: image.path)))
    defer { again.close() }
    for number in 0..<16 { #expect(try again.read(sector: UInt64(number * 8), byteCount: 4096) == pattern(number, byteCount: 4096)) }
  }

  @Test func moreRequestsThanTheEngineHasRoomForAreAllAnswered() throws {
    let image = try TestDisk(byteCount: 1 << 20)
    let disk = try VirtioDisk(BlockStoreSpec(.file(path: image.path)), entryCount: 1024)
    defer { disk.close() }
    let sent = try (0..<200).map { try disk.send([VirtioDisk.header(0, sector: UInt64($0 % 200))], writable: [4096, 1]) }
    for one in sent { #expect(try disk.wait(for: one).status == .okay) }
  }
}
