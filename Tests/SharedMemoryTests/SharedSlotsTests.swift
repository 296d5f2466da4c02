import SharedMemory
import Testing
import XenInterface

@Suite struct SharedSlotsTests {
  @Test(arguments: [0, 5, .max - 3, .max] as [UInt32])
  func anIndexAddressesItsSlotModuloTheirNumber(index: UInt32) throws {
    let bytes = try makePages()
    let slots = SharedSlots(bytes, at: 64, slotByteCount: 108, count: 32)
    #expect(slots.count == 32 && slots.slotByteCount == 108)
    slots.withSlot(index, byteCount: 108) { $0.storeWord64(0xABCD, at: 100) }
    #expect(bytes.loadWord64(at: 64 + Int(index % 32) * 108 + 100) == 0xABCD)
    let seen = slots.withSlot(index &+ 32, byteCount: 108) { $0.loadWord64(at: 100) }
    #expect(seen == 0xABCD)
    slots.prefetchForWriting(index)
  }

  @Test func aTableMayEndWithItsMemory() throws {
    let slots = SharedSlots(try makePages(), at: 4096 - 16, slotByteCount: 8, count: 2)
    slots.withSlot(1, byteCount: 8) { $0.storeWord64(1, at: 0) }
  }

  @Test func aTableBeyondItsMemoryTraps() async {
    await #expect(processExitsWith: .failure) { _ = SharedSlots(try makePages(), at: 64, slotByteCount: 112, count: 64) }
  }

  @Test func aNumberOfSlotsThatIsNoPowerOfTwoTraps() async {
    await #expect(processExitsWith: .failure) { _ = SharedSlots(try makePages(), at: 64, slotByteCount: 8, count: 3) }
  }

  @Test func anUnalignedTableTraps() async {
    await #expect(processExitsWith: .failure) { _ = SharedSlots(try makePages(), at: 66, slotByteCount: 8, count: 2) }
  }

  @Test func aRecordLargerThanItsSlotTraps() async {
    await #expect(processExitsWith: .failure) { SharedSlots(try makePages(), at: 64, slotByteCount: 8, count: 2).withSlot(0, byteCount: 12) { _ in } }
  }

  @Test func aWordBeyondTheRecordTraps() async {
    await #expect(processExitsWith: .failure) {
      SharedSlots(try makePages(), at: 64, slotByteCount: 16, count: 2).withSlot(0, byteCount: 8) { $0.storeWord32(1, at: 8) }
    }
  }
}
