import SharedMemory
import Testing
import VirtioRing

/// What the driver's side does not believe.
@Suite struct HostileDeviceTests {
  @Test func aUsedIndexThatNobodyFilledIsAFault() throws {
    let queue = try TestQueue(.split, entryCount: 4)
    let driver = queue.makeDriver()
    driver.add([DriverQueue.Buffer(guestAddress: queue.data(0), byteCount: 8)])
    queue.parts.device.store16(2, at: 2)
    #expect(throws: DriverQueue.Fault.usedIndex(claimed: 2, consumer: 0, outstandingCount: 1)) { try driver.takeUsed() }
  }

  @Test(arguments: [1, 4, .max] as [UInt32])
  func aUsedEntryThatNamesNoChainIsAFault(head: UInt32) throws {
    let queue = try TestQueue(.split, entryCount: 4)
    let driver = queue.makeDriver()
    driver.add([DriverQueue.Buffer(guestAddress: queue.data(0), byteCount: 8)])
    queue.parts.device.store32(head, at: 4)
    queue.parts.device.store16(1, at: 2)
    #expect(throws: DriverQueue.Fault.usedChain(head)) { try driver.takeUsed() }
  }

  @Test(arguments: [1, 4, .max] as [UInt16])
  func aUsedDescriptorThatNamesNoChainIsAFault(id: UInt16) throws {
    let queue = try TestQueue(.packed, entryCount: 4)
    let driver = queue.makeDriver()
    driver.add([DriverQueue.Buffer(guestAddress: queue.data(0), byteCount: 8)])
    driver.publish()
    queue.writeDescriptor(0, address: 0, byteCount: 0, flags: 0x8080, link: id)
    #expect(throws: DriverQueue.Fault.usedChain(UInt32(id))) { try driver.takeUsed() }
  }
}
