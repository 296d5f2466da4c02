import BlockEngine
import BlockVirtio
import EventLoop
import SharedMemory
import TestSupport
import Testing
import VirtioInterface
import VirtioRing
import XenInterface

/// Every request of virtio-blk, in good faith and not.
@Suite struct RequestTests {
  private static let size = 1 << 20
  private static let sectorCount = UInt64(size / 512)

  private func withMemoryDisk(_ format: DeviceQueue.Format = .split, isReadOnly: Bool = false, _ body: (VirtioDisk) throws -> Void) throws {
    let disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: UInt64(Self.size)), isReadOnly: isReadOnly), format: format)
    defer { disk.close() }
    try body(disk)
  }

  private func withFile(isDirect: Bool = true, _ body: (VirtioDisk, TestDisk) throws -> Void) throws {
    let image = try TestDisk(byteCount: Self.size)
    let disk = try VirtioDisk(BlockStoreSpec(.file(path: image.path), isDirect: isDirect, sectorByteCount: nil))
    defer { disk.close() }
    try body(disk, image)
  }

  @Test(arguments: [DeviceQueue.Format.split, .packed])
  func whatWasWrittenIsReadBack(format: DeviceQueue.Format) throws {
    try withMemoryDisk(format) { (disk) throws in
      for round in 0..<100 { try disk.write(pattern(round, byteCount: 4096), sector: UInt64(round * 8)) }
      for round in 0..<100 { #expect(try disk.read(sector: UInt64(round * 8), byteCount: 4096) == pattern(round, byteCount: 4096)) }
    }
  }

  @Test(arguments: [true, false])
  func aFileIsWrittenFlushedAndReadBack(isDirect: Bool) throws {
    try withFile(isDirect: isDirect) { (disk, _) throws in
      try disk.write(pattern(1, byteCount: 65536), sector: 8)
      #expect(try disk.perform([VirtioDisk.header(4)]) == VirtioDisk.Answer(status: .okay, writtenByteCount: 1))
      #expect(try disk.read(sector: 8, byteCount: 65536) == pattern(1, byteCount: 65536))
    }
  }

  @Test(arguments: [1, 8, 15])
  func aHeaderMayBeCutAnywhereAndDataToo(cut: Int) throws {
    try withMemoryDisk { (disk) throws in
      let header = VirtioDisk.header(1, sector: 3)
      let data = pattern(5, byteCount: 1024)
      let pieces = [Array(header[..<cut]), Array(header[cut...]) + data[..<100], Array(data[100..<700]), Array(data[700...])]
      #expect(try disk.perform(pieces).status == .okay)
      let read = VirtioDisk.header(0, sector: 3)
      // The status byte stands behind data in the same descriptor.
      let answer = try disk.perform([Array(read[..<cut]), Array(read[cut...])], writable: [10, 1015])
      #expect(answer == VirtioDisk.Answer(status: .okay, data: data, writtenByteCount: 1025))
    }
  }

  @Test func aTransferBeyondTheEndOrOfBrokenSectorsIsAnError() throws {
    try withMemoryDisk { (disk) throws in
      for (sector, byteCount) in [(0, 511), (0, 513), (Self.sectorCount, 512), (Self.sectorCount - 1, 1024), (UInt64.max, 512), (UInt64.max / 512, 512)] {
        #expect(try disk.perform([VirtioDisk.header(0, sector: sector)], writable: [byteCount, 1]).status == .error)
        #expect(try disk.perform([VirtioDisk.header(1, sector: sector), pattern(1, byteCount: byteCount)]).status == .error)
      }
      #expect(try disk.read(sector: 0, byteCount: Self.size) == [UInt8](repeating: 0, count: Self.size), "nothing was written")
      #expect(disk.device.queueStatus[0].rejections > 0 && disk.faults.isEmpty)
    }
  }

  @Test func aReadOnlyDiskIsReadAndNotWritten() throws {
    try withMemoryDisk(isReadOnly: true) { (disk) throws in
      #expect(try disk.read(sector: 0, byteCount: 512) == [UInt8](repeating: 0, count: 512))
      #expect(try disk.perform([VirtioDisk.header(1), pattern(1, byteCount: 512)]).status == .error)
      #expect(try disk.perform([VirtioDisk.header(13), VirtioDisk.segment(sector: 0, count: 1)]).status != .okay)
      #expect(try disk.perform([VirtioDisk.header(11), VirtioDisk.segment(sector: 0, count: 1)]).status != .okay)
      #expect(try disk.perform([VirtioDisk.header(4)]).status == .okay)
      let features = VirtioBlockFeatures(rawValue: disk.device.features.rawValue)
      #expect(features.contains(.readOnly) && !features.contains(.writeZeroes) && !features.contains(.discard))
    }
  }

  @Test func theIdentityHasTwentyBytesOrAsManyAsFit() throws {
    try withMemoryDisk { (disk) throws in
      let name = Array("disk0".utf8)
      let whole = try disk.perform([VirtioDisk.header(8)], writable: [20, 1])
      #expect(whole == VirtioDisk.Answer(status: .okay, data: name + [UInt8](repeating: 0, count: 15), writtenByteCount: 21))
      let short = try disk.perform([VirtioDisk.header(8)], writable: [2, 1, 1])
      #expect(short == VirtioDisk.Answer(status: .okay, data: Array(name[..<3]), writtenByteCount: 4))
    }
  }

  @Test(arguments: [2, 3, 14, 0x8000_0000, .max] as [UInt32])
  func anUnknownRequestIsUnsupported(type: UInt32) throws {
    try withMemoryDisk { (disk) throws in
      #expect(try disk.perform([VirtioDisk.header(type)]) == VirtioDisk.Answer(status: .unsupported, writtenByteCount: 1))
      try disk.write(pattern(1, byteCount: 512), sector: 0)
    }
  }

  @Test func aShortHeaderIsAnErrorAndAChainWithoutAStatusGoesBackEmpty() throws {
    try withMemoryDisk { (disk) throws in
      #expect(try disk.perform([Array(VirtioDisk.header(0)[..<15])]).status == .error)
      #expect(try disk.perform([], writable: [1]).status == .error)
      #expect(try disk.perform([VirtioDisk.header(1), pattern(1, byteCount: 512)], writable: []) == VirtioDisk.Answer(status: nil, writtenByteCount: 0))
      #expect(try disk.read(sector: 0, byteCount: 512) == [UInt8](repeating: 0, count: 512))
    }
  }

  // MARK: Ranges

  @Test(arguments: [0, 1] as [UInt32], [true, false])
  func aRangeBecomesZeroAndItsNeighboursDoNot(flags: UInt32, isFile: Bool) throws {
    func check(_ disk: VirtioDisk) throws {
      let data = pattern(9, byteCount: 65536)
      try disk.write(data, sector: 0)
      #expect(try disk.perform([VirtioDisk.header(13), VirtioDisk.segment(sector: 16, count: 64, flags: flags)]).status == .okay)
      #expect(try disk.read(sector: 0, byteCount: 8192) == Array(data[..<8192]))
      #expect(try disk.read(sector: 16, byteCount: 32768) == [UInt8](repeating: 0, count: 32768))
      #expect(try disk.read(sector: 80, byteCount: 24576) == Array(data[40960...]))
    }
    if isFile { try withFile { disk, _ in try check(disk) } } else { try withMemoryDisk { try check($0) } }
  }

  @Test func aDiscardedRangeOfADiskInMemoryReadsAsZero() throws {
    try withMemoryDisk { (disk) throws in
      try disk.write(pattern(9, byteCount: 65536), sector: 0)
      #expect(try disk.perform([VirtioDisk.header(11), VirtioDisk.segment(sector: 8, count: 8)]).status == .okay)
      #expect(try disk.read(sector: 8, byteCount: 4096) == [UInt8](repeating: 0, count: 4096))
    }
  }

  @Test(arguments: [11, 13] as [UInt32])
  func aRangeThatIsWrongIsRefused(type: UInt32) throws {
    try withMemoryDisk { (disk) throws in
      let data = pattern(3, byteCount: 4096)
      try disk.write(data, sector: 0)
      // Flags that do not exist, or not for this.
      for flags in [2, 0x8000_0000, type == 11 ? 1 : 3] as [UInt32] {
        #expect(try disk.perform([VirtioDisk.header(type), VirtioDisk.segment(sector: 0, count: 8, flags: flags)]).status == .unsupported)
      }
      for segment in [
        VirtioDisk.segment(sector: Self.sectorCount, count: 1), VirtioDisk.segment(sector: 0, count: .max), VirtioDisk.segment(sector: .max, count: 2),
        Array(VirtioDisk.segment(sector: 0, count: 8)[..<15]), VirtioDisk.segment(sector: 0, count: 8) + VirtioDisk.segment(sector: 8, count: 8),
      ] {
        #expect(try disk.perform([VirtioDisk.header(type), segment]).status == .error)
      }
      #expect(try disk.perform([VirtioDisk.header(type)]).status == .error, "no range at all")
      #expect(try disk.read(sector: 0, byteCount: 4096) == data)
    }
  }

  // MARK: Unaligned memory

  @Test func dataInUnalignedMemoryGoesAroundThePageCacheToo() throws {
    try withFile { (disk, _) throws in
      let data = pattern(4, byteCount: 8192)
      #expect(try disk.perform([VirtioDisk.header(1, sector: 16), Array(data[..<1000]), Array(data[1000...])], skew: 3).status == .okay)
      let answer = try disk.perform([VirtioDisk.header(0, sector: 16)], writable: [1, 8190, 1, 1], skew: 5)
      #expect(answer == VirtioDisk.Answer(status: .okay, data: data, writtenByteCount: 8193))
    }
  }
}
