import SharedMemory
import Testing
import VirtioRing

/// A driver that writes what it likes: the queue stops with the fault that says what, and stays stopped.
@Suite struct HostileDriverTests {
  /// Takes from a queue that `prepare` has written into, and expects the fault, twice.
  private func expect(
    _ fault: VirtqueueFault, _ format: DeviceQueue.Format, entryCount: Int = 4, indirect: Bool = true, chainsBefore: Int = 0,
    sourceLocation: SourceLocation = #_sourceLocation, _ prepare: (TestQueue) -> Void
  ) throws {
    let queue = try TestQueue(format, entryCount: entryCount, indirect: indirect)
    let device = try queue.makeDevice(base: queue.makeDriver().base)
    prepare(queue)
    for _ in 0..<chainsBefore { _ = try #require(try device.take(), sourceLocation: sourceLocation) }
    #expect(device.hasChains(), "a queue that is to be looked at", sourceLocation: sourceLocation)
    #expect(throws: fault, sourceLocation: sourceLocation) { try device.take() }
    #expect(throws: fault, "again", sourceLocation: sourceLocation) { try device.take() }
    #expect(!device.armKick(), "nothing to wake up for", sourceLocation: sourceLocation)
    #expect(!fault.description.isEmpty, sourceLocation: sourceLocation)
  }

  // MARK: Indices

  @Test(arguments: [5, 0x8000, 0xffff] as [UInt16])
  func anAvailableIndexBeyondTheQueueIsAFault(claimed: UInt16) throws {
    try expect(.availableIndex(claimed: claimed, consumer: 0, entryCount: 4), .split) { $0.parts.driver.store16(claimed, at: 2) }
  }

  @Test func aHeadOutsideTheTableIsAFault() throws {
    try expect(.descriptorIndex(4, entryCount: 4), .split) {
      $0.parts.driver.store16(4, at: 4)
      $0.parts.driver.store16(1, at: 2)
    }
  }

  @Test func aChainThatIsMadeAvailableTwiceIsAFault() throws {
    try expect(.headInFlight(0), .split, chainsBefore: 1) {
      $0.writeDescriptor(0, address: $0.data(0), byteCount: 8, flags: 0)
      $0.parts.driver.store16(2, at: 2)
    }
    try expect(.headInFlight(0), .packed, chainsBefore: 1) {
      for index in 0..<2 { $0.writeDescriptor(index, address: $0.data(0), byteCount: 8, flags: $0.available, link: 0) }
    }
  }

  /// One head, offered and answered over and over while no answer is shown: the queue's entries are all that may wait, whoever remembers them.
  @Test(arguments: [false, true], [false, true])
  func aHeadThatIsOfferedAgainBeforeItsAnswerWasShownIsAFault(hasRecord: Bool, inOrder: Bool) throws {
    let queue = try TestQueue(.split, entryCount: 4, inOrder: inOrder)
    let memory = try SharedRegion(anonymousByteCount: 4096).bytes
    let device = try queue.makeDevice(base: 0, splitInflight: hasRecord ? InflightRecord(memory, entryCount: 4) : nil)
    for head in 0..<2 { queue.writeDescriptor(head, address: queue.data(0), byteCount: 8, flags: 0) }
    // Shown each time: a driver may use one head for ever.
    for index in 1...9 as ClosedRange<UInt16> {
      queue.parts.driver.storeRelease16(index, at: 2)
      #expect(try device.take()?.id == 0)
      device.put(0)
      device.publish()
    }
    // A chain that stays under way counts as well. (With answers in order those behind it would wait for it, and head 0 be under way, too.)
    if !inOrder {
      queue.parts.driver.store16(1, at: 4 + 9 % 4 * 2)
      queue.parts.driver.storeRelease16(10, at: 2)
      #expect(try device.take()?.id == 1)
      queue.parts.driver.store16(0, at: 4 + 9 % 4 * 2)
    }
    queue.parts.driver.storeRelease16(13, at: 2)
    for _ in 0..<(inOrder ? 4 : 3) {
      #expect(try device.take()?.id == 0)
      device.put(0)
    }
    queue.parts.driver.storeRelease16(14, at: 2)
    #expect(throws: VirtqueueFault.headInFlight(0)) { try device.take() }
    // What was answered before is shown all the same.
    if !inOrder { device.put(1) }
    device.publish()
    #expect(device.unansweredCount == 0 && queue.parts.device.load16(at: 2) == 13)
  }

  @Test func aBufferIDBeyondTheQueueIsAFault() throws {
    try expect(.chainID(4, entryCount: 4), .packed) { $0.writeDescriptor(0, address: $0.data(0), byteCount: 8, flags: $0.available, link: 4) }
  }

  /// The whole ring is under way, and its first place is said to be available again, in the next round.
  @Test func aWrapCounterThatLiesIsAFault() throws {
    let queue = try TestQueue(.packed, entryCount: 4)
    let device = try queue.makeDevice(base: queue.makeDriver().base)
    for index in 0..<4 {
      queue.writeDescriptor(index, address: queue.data(0), byteCount: 8, flags: queue.available | (index % 2 == 0 ? Flags.next : 0), link: UInt16(index / 2))
    }
    #expect(try device.take()?.id == 0)
    #expect(try device.take()?.id == 1)
    #expect(try device.take() == nil)
    queue.writeDescriptor(0, address: queue.data(0), byteCount: 8, flags: 0x8000, link: 2)
    #expect(throws: VirtqueueFault.overrun(entryCount: 4)) { try device.take() }
  }

  // MARK: Chains

  @Test func aNextOutsideTheTableIsAFault() throws {
    try expect(.descriptorIndex(9, entryCount: 4), .split) {
      $0.writeDescriptor(0, address: $0.data(0), byteCount: 8, flags: Flags.next, link: 9)
      $0.offerFirst()
    }
  }

  @Test(arguments: [0, 1, 3] as [UInt16])
  func aLoopIsAFault(back: UInt16) throws {
    try expect(.chainTooLong(limit: 4), .split) {
      for index in 0..<4 { $0.writeDescriptor(index, address: $0.data(0), byteCount: 8, flags: Flags.next, link: index == 3 ? back : UInt16(index + 1)) }
      $0.offerFirst()
    }
  }

  @Test func aChainRoundTheWholeRingAndOnIsAFault() throws {
    try expect(.chainTooLong(limit: 4), .packed) {
      for index in 0..<4 { $0.writeDescriptor(index, address: $0.data(0), byteCount: 8, flags: $0.available | Flags.next) }
    }
  }

  @Test(arguments: bothFormats)
  func anEmptyDescriptorIsAFault(format: DeviceQueue.Format) throws {
    try expect(.emptyDescriptor(index: 0), format) {
      $0.writeDescriptor(0, address: $0.data(0), byteCount: 0, flags: $0.available)
      $0.offerFirst()
    }
  }

  @Test(arguments: bothFormats)
  func aReadableDescriptorBehindAWritableOneIsAFault(format: DeviceQueue.Format) throws {
    try expect(.readableAfterWritable(index: 1), format) {
      $0.writeDescriptor(0, address: $0.data(0), byteCount: 8, flags: $0.available | Flags.write | Flags.next, link: 1)
      $0.writeDescriptor(1, address: $0.data(0), byteCount: 8, flags: $0.available)
      $0.offerFirst()
    }
  }

  // MARK: Addresses

  static let outside: [(address: UInt64, byteCount: UInt32)] = [
    (0, 1), (TestQueue.guestAddress - 1, 1), (TestQueue.guestAddress - 1, 2), (TestQueue.guestAddress, .max), (.max, 1), (.max, .max), (.max - 4095, 4097),
    (UInt64(1) << 63, 8),
  ]

  @Test(arguments: bothFormats, outside.indices)
  func aBufferOutsideTheGuestsMemoryIsAFault(format: DeviceQueue.Format, index: Int) throws {
    let (address, byteCount) = Self.outside[index]
    try expect(.outsideMemory(guestAddress: address, byteCount: byteCount), format) {
      $0.writeDescriptor(0, address: address, byteCount: byteCount, flags: $0.available)
      $0.offerFirst()
    }
  }

  @Test(arguments: bothFormats)
  func oneByteBeyondTheEndIsAFaultAndTheLastByteIsNot(format: DeviceQueue.Format) throws {
    let queue = try TestQueue(format, entryCount: 4)
    let device = try queue.makeDevice(base: queue.makeDriver().base)
    queue.writeDescriptor(0, address: queue.data(TestQueue.dataByteCount - 8), byteCount: 8, flags: queue.available)
    queue.offerFirst()
    #expect(try device.take()?.readableByteCount == 8)
    try expect(.outsideMemory(guestAddress: queue.data(TestQueue.dataByteCount - 8), byteCount: 9), format) {
      $0.writeDescriptor(0, address: $0.data(TestQueue.dataByteCount - 8), byteCount: 9, flags: $0.available)
      $0.offerFirst()
    }
  }

  // MARK: Indirect tables

  @Test(arguments: bothFormats)
  func anIndirectDescriptorThatWasNotNegotiatedIsAFault(format: DeviceQueue.Format) throws {
    try expect(.indirectNotNegotiated(index: 0), format, indirect: false) {
      $0.writeDescriptor(0, address: $0.data(0), byteCount: 16, flags: $0.available | Flags.indirect)
      $0.offerFirst()
    }
  }

  @Test(arguments: bothFormats)
  func anIndirectTableInsideAnIndirectTableIsAFault(format: DeviceQueue.Format) throws {
    try expect(.indirectNested(index: 0), format) {
      $0.writeDescriptor(0, address: $0.data(0), byteCount: 16, flags: Flags.indirect, in: $0.table(0, descriptors: 1).memory)
      $0.writeDescriptor(0, address: $0.data(0), byteCount: 16, flags: $0.available | Flags.indirect)
      $0.offerFirst()
    }
  }

  @Test(arguments: bothFormats)
  func anIndirectDescriptorWithANextIsAFault(format: DeviceQueue.Format) throws {
    try expect(.indirectNested(index: 0), format) {
      $0.writeDescriptor(0, address: $0.data(0), byteCount: 16, flags: $0.available | Flags.indirect | Flags.next, link: 1)
      $0.offerFirst()
    }
  }

  @Test(arguments: bothFormats, [0, 1, 15, 17, 16 * 1025, 0xffff_fff0, .max] as [UInt32])
  func anIndirectTableOfAnImpossibleLengthIsAFault(format: DeviceQueue.Format, byteCount: UInt32) throws {
    try expect(.indirectLength(byteCount), format) {
      $0.writeDescriptor(0, address: $0.data(0), byteCount: byteCount, flags: $0.available | Flags.indirect)
      $0.offerFirst()
    }
  }

  @Test(arguments: bothFormats)
  func anIndirectTableOutsideTheGuestsMemoryIsAFault(format: DeviceQueue.Format) throws {
    try expect(.outsideMemory(guestAddress: 0x1000, byteCount: 32), format) {
      $0.writeDescriptor(0, address: 0x1000, byteCount: 32, flags: $0.available | Flags.indirect)
      $0.offerFirst()
    }
  }

  @Test func aNextOutsideItsIndirectTableIsAFault() throws {
    try expect(.descriptorIndex(2, entryCount: 2), .split) {
      $0.writeDescriptor(0, address: $0.data(64), byteCount: 8, flags: Flags.next, link: 2, in: $0.table(0, descriptors: 2).memory)
      $0.writeDescriptor(0, address: $0.data(0), byteCount: 32, flags: Flags.indirect)
      $0.offerFirst()
    }
  }

  @Test func aLoopInAnIndirectTableIsAFault() throws {
    try expect(.chainTooLong(limit: 2), .split) {
      for index in 0..<2 {
        $0.writeDescriptor(index, address: $0.data(64), byteCount: 8, flags: Flags.next, link: UInt16(1 - index), in: $0.table(0, descriptors: 2).memory)
      }
      $0.writeDescriptor(0, address: $0.data(0), byteCount: 32, flags: Flags.indirect)
      $0.offerFirst()
    }
  }

  // MARK: The queue itself

  @Test func aSizeThatIsNoneIsRefused() throws {
    let queue = try TestQueue(.split, entryCount: 16)
    for entryCount in [0, 3, 4097, 8192] {
      #expect(throws: VirtqueueFault.entryCount(entryCount)) {
        _ = try DeviceQueue(.split, entryCount: entryCount, parts: queue.parts, features: queue.features, memory: queue.memory, base: 0)
      }
    }
  }

  @Test(arguments: bothFormats)
  func aPartThatIsTooSmallOrMisalignedIsRefused(format: DeviceQueue.Format) throws {
    let queue = try TestQueue(format, entryCount: 4)
    func refused(_ part: VirtqueueFault.RingPart, _ change: (inout DeviceQueue.Parts) -> Void) {
      var parts = queue.parts
      change(&parts)
      #expect(throws: VirtqueueFault.ringMemory(part: part)) {
        _ = try DeviceQueue(format, entryCount: 4, parts: parts, features: queue.features, memory: queue.memory, base: 0)
      }
    }
    refused(.descriptors) { $0.descriptors = $0.descriptors.slice(at: 0, byteCount: 63) }
    refused(.descriptors) { $0.descriptors = queue.bytes.slice(at: 8, byteCount: 64) }
    refused(.driver) { $0.driver = $0.driver.slice(at: 0, byteCount: 3) }
    refused(.driver) { $0.driver = queue.bytes.slice(at: 1, byteCount: 64) }
    refused(.device) { $0.device = $0.device.slice(at: 0, byteCount: 3) }
    refused(.device) { $0.device = queue.bytes.slice(at: 2, byteCount: 64) }
  }

  @Test(arguments: [0x7fff_7fff, .max, 4, 0x0005_0000] as [UInt32])
  func aPackedBaseOutsideTheRingDoesNoHarm(base: UInt32) throws {
    let queue = try TestQueue(.packed, entryCount: 4)
    let device = try queue.makeDevice(base: base)
    #expect(try device.take() == nil)
    #expect(device.base & 0x7fff < 4 && device.base >> 16 & 0x7fff < 4)
  }
}
