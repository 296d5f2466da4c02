import LinuxSystem
import SharedMemory
import SystemPackage
import Testing
import XenInterface

/// Zeroed, sealed shared memory of `count` pages.
func makePages(_ count: Int = 1) throws -> SharedBytes {
  let file = try MemoryFile.create(name: "memory-test", byteCount: count * pageByteCount)
  return try SharedRegion(mapping: file, byteCount: count * pageByteCount, access: .readWrite).bytes
}

@Suite struct SharedBytesTests {
  @Test func wordsComeBackAsTheyWereStoredInLittleEndianOrder() throws {
    let bytes = try makePages()
    bytes.store64(0x0807_0605_0403_0201, at: 8)
    #expect((0..<8).map { bytes.load8(at: 8 + $0) } == [1, 2, 3, 4, 5, 6, 7, 8])
    #expect(bytes.load16(at: 10) == 0x0403)
    #expect(bytes.load32(at: 12) == 0x0807_0605)
    bytes.store8(0xAA, at: 8)
    bytes.store16(0xBBBB, at: 10)
    bytes.store32(0xCCCC_CCCC, at: 12)
    #expect(bytes.load64(at: 8) == 0xCCCC_CCCC_BBBB_02AA)
    bytes.storeRelease16(3, at: 16)
    bytes.storeRelease32(4, at: 20)
    #expect(bytes.loadAcquire16(at: 16) == 3 && bytes.loadAcquire32(at: 20) == 4)
    bytes.storeAndFence32(5, at: 20)
    #expect(bytes.load32(at: 20) == 5)
  }

  @Test func recordWordsNeedOnlyFourByteAlignment() throws {
    let bytes = try makePages()
    bytes.storeWord64(0x1122_3344_5566_7788, at: pageByteCount - 12)
    #expect(bytes.loadWord64(at: pageByteCount - 12) == 0x1122_3344_5566_7788)
    #expect(bytes.loadWord32(at: pageByteCount - 8) == 0x1122_3344)
    bytes.withSlot(at: pageByteCount - 12, byteCount: 12) { slot in
      #expect(slot.byteCount == 12)
      slot.storeWord32(9, at: 8)
      slot.storeWord64(.max, at: 0)
      #expect(slot.loadWord64(at: 4) == 0x0000_0009_FFFF_FFFF)
      #expect(slot.loadWord32(at: 8) == 9)
    }
  }

  @Test func compareExchangeStoresOnlyWhatWasExpected() throws {
    let bytes = try makePages()
    bytes.store16(7, at: 2)
    #expect(bytes.compareExchange16(expected: 6, desired: 9, at: 2) == 7)
    #expect(bytes.load16(at: 2) == 7)
    #expect(bytes.compareExchange16(expected: 7, desired: 9, at: 2) == 7)
    #expect(bytes.load16(at: 2) == 9)
    #expect(bytes.fetchOr16(0x10, at: 2) == 9)
    #expect(bytes.fetchAnd16(0x18, at: 2) == 0x19)
    #expect(bytes.load16(at: 2) == 0x18)
    #expect(bytes.load16(at: 0) == 0 && bytes.load16(at: 4) == 0)
  }

  @Test func copiesMoveExactlyTheRangeThatWasNamed() throws {
    let bytes = try makePages(2)
    let pattern = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
    bytes.copyIn(pattern, at: 4000)
    #expect(bytes.copyOut(at: 4000, byteCount: 300) == pattern)
    #expect(bytes.load8(at: 3999) == 0 && bytes.load8(at: 4300) == 0)

    let other = try makePages()
    other.copy(from: bytes, sourceOffset: 4010, to: 1, byteCount: 20)
    #expect(other.copyOut(at: 0, byteCount: 22) == [0] + pattern[10..<30] + [0])
    bytes.zero(at: 4001, byteCount: 298)
    #expect(bytes.copyOut(at: 4000, byteCount: 300) == [pattern[0]] + [UInt8](repeating: 0, count: 298) + [pattern[299]])
    #expect(bytes.copyOut(at: 8192, byteCount: 0).isEmpty)
    bytes.copyIn([], at: 8192)
  }

  @Test func aSliceSeesTheSameMemoryAndKeepsItMapped() throws {
    var slice: SharedBytes
    do {
      let bytes = try makePages(2)
      bytes.store32(77, at: 4096 + 8)
      slice = bytes.slice(at: 4096, byteCount: 64)
    }
    #expect(slice.byteCount == 64)
    #expect(slice.load32(at: 8) == 77)
    #expect(slice.slice(at: 8, byteCount: 4).load32(at: 0) == 77)
    slice = slice.slice(at: 64, byteCount: 0)
    #expect(slice.byteCount == 0)
  }

  // MARK: Our own mistakes trap, in release builds too

  @Test func aWordBeforeTheRangeTraps() async {
    await #expect(processExitsWith: .failure) { _ = try makePages().slice(at: 64, byteCount: 64).load32(at: -4) }
  }

  @Test func aWordThatEndsBeyondTheRangeTraps() async {
    await #expect(processExitsWith: .failure) { _ = try makePages(2).slice(at: 0, byteCount: 64).load64(at: 60) }
  }

  @Test func anUnalignedWordTraps() async {
    await #expect(processExitsWith: .failure) { _ = try makePages().load32(at: 2) }
  }

  @Test func anOffsetThatOverflowsTraps() async {
    await #expect(processExitsWith: .failure) { _ = try makePages().load64(at: Int.max & ~7) }
  }

  @Test func aWordOfASlotBeyondItsEndTraps() async {
    await #expect(processExitsWith: .failure) { try makePages().withSlot(at: 0, byteCount: 12) { _ = $0.loadWord64(at: 8) } }
  }

  @Test func aSlotBeyondTheRangeTraps() async {
    await #expect(processExitsWith: .failure) { try makePages().withSlot(at: pageByteCount - 8, byteCount: 12) { _ in } }
  }

  @Test func anUnalignedSlotTraps() async {
    await #expect(processExitsWith: .failure) { try makePages().withSlot(at: 2, byteCount: 12) { _ in } }
  }

  @Test func aSliceBeyondTheRangeTraps() async {
    await #expect(processExitsWith: .failure) { _ = try makePages().slice(at: 4000, byteCount: 97) }
  }

  @Test func aCopyOutBeyondTheRangeTraps() async {
    await #expect(processExitsWith: .failure) { _ = try makePages().copyOut(at: 4000, byteCount: 97) }
  }

  @Test func aCopyInBeyondTheRangeTraps() async {
    await #expect(processExitsWith: .failure) { try makePages().copyIn([1, 2], at: 4095) }
  }

  @Test func aCopyFromBeyondTheOtherRangeTraps() async {
    await #expect(processExitsWith: .failure) { try makePages().copy(from: try makePages(), sourceOffset: 4000, to: 0, byteCount: 97) }
  }
}
