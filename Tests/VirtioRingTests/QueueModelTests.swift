import SharedMemory
import TestSupport
import Testing
import VirtioRing

/// Random operations of both sides, held against a model made of lists.
@Suite struct QueueModelTests {
  enum Operation: CaseIterable { case add, addAgain, addIndirect, publishChains, take, armKick, disarmKick, put, publishAnswers, takeUsed, armCall, disarmCall, reattach }

  struct Sent: Equatable {
    var id: UInt16
    var buffers: [DriverQueue.Buffer]
  }

  @Test(arguments: bothFormats, [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
  func behavesLikeListsUnderRandomOperations(format: DeviceQueue.Format, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let entryCount = (format == .split ? [1, 2, 16, 64] : [1, 3, 16, 61]).randomElement(using: &random)!
    // Close to where the indices of a split queue wrap; a packed one's wrap all the time.
    let start: UInt16 = format == .split ? UInt16.random(in: 65300...65535, using: &random) : 0x8000
    let eventIndex = Bool.random(using: &random)
    let context: Comment = "seed \(seed), start \(start), \(entryCount) entries, event index \(eventIndex)"
    let queue = try TestQueue(format, entryCount: entryCount, eventIndex: eventIndex)
    let driver = queue.makeDriver(start: start)
    var device = try queue.makeDevice(base: driver.base)

    var added: [Sent] = []
    var visible: [Sent] = []
    var taken: [Sent] = []
    var answered: [DriverQueue.Used] = []
    var shown: [DriverQueue.Used] = []
    var slotCount: [UInt16: Int] = [:]
    var total = 0
    var kicksAreWanted: Bool? = true
    var callsAreWanted: Bool? = true

    for step in 0..<6_000 {
      try #require(driver.outstandingCount == added.count + visible.count + taken.count + answered.count + shown.count, context)
      try #require(driver.freeCount == entryCount - slotCount.values.reduce(0, +), context)
      try #require(device.unansweredCount == taken.count, context)
      try #require(device.hasChains() == !visible.isEmpty && driver.hasUsed() == !shown.isEmpty, "step \(step), \(context)")
      switch Operation.allCases.randomElement(using: &random)! {
      case .add, .addAgain:
        let buffers = randomBuffers(queue, most: 5, &random)
        let id = driver.add(buffers)
        try #require((id != nil) == (buffers.count <= entryCount - slotCount.values.reduce(0, +)), context)
        guard let id else { continue }
        slotCount[id] = buffers.count
        added.append(Sent(id: id, buffers: buffers))
        total += 1
      case .addIndirect:
        let buffers = randomBuffers(queue, most: 8, &random)
        // The table of the place that the chain would get; ids are unique while under way.
        guard let id = driver.add(buffers, table: queue.table(total % 128 * 128, descriptors: 8)) else { continue }
        slotCount[id] = 1
        added.append(Sent(id: id, buffers: buffers))
        total += 1
      case .publishChains:
        let kick = driver.publish()
        if added.isEmpty { try #require(!kick, context) } else if let kicksAreWanted { try #require(kick == kicksAreWanted, "step \(step), \(context)") }
        // With event indices one event is asked for; without, all until told otherwise.
        if !added.isEmpty, eventIndex, kicksAreWanted == true { kicksAreWanted = false }
        visible += added
        added = []
      case .take:
        let chain = try device.take()
        try #require((chain != nil) == !visible.isEmpty, "step \(step), \(context)")
        guard let chain else { continue }
        let expected = visible.removeFirst()
        try #require(chain.id == expected.id && chain.elementCount == expected.buffers.count, "step \(step), \(context)")
        for (position, buffer) in expected.buffers.enumerated() {
          let address = queue.bytes.address + UInt(buffer.guestAddress - TestQueue.guestAddress)
          try #require(device.element(position) == GuestBuffer(address: address, byteCount: Int(buffer.byteCount), region: 0), context)
          try #require((position < chain.readableCount) != buffer.isWritable, context)
        }
        taken.append(expected)
      case .put:
        guard let index = taken.indices.randomElement(using: &random) else { continue }
        let used = DriverQueue.Used(id: taken.remove(at: index).id, writtenByteCount: UInt32.random(in: 0...9999, using: &random))
        device.put(used.id, writtenByteCount: used.writtenByteCount)
        answered.append(used)
      case .publishAnswers:
        let call = device.publish()
        if answered.isEmpty { try #require(!call, context) } else if let callsAreWanted { try #require(call == callsAreWanted, "step \(step), \(context)") }
        if !answered.isEmpty, eventIndex, callsAreWanted == true { callsAreWanted = false }
        shown += answered
        answered = []
      case .takeUsed:
        let used = try driver.takeUsed()
        try #require(used == shown.first, "step \(step), \(context)")
        guard let used else { continue }
        shown.removeFirst()
        slotCount[used.id] = nil
      case .armKick:
        let workIsThere = device.armKick()
        try #require(workIsThere == !visible.isEmpty, context)
        // Nobody sleeps, so whether it is armed is left open.
        kicksAreWanted = workIsThere ? nil : true
      case .armCall:
        let workIsThere = driver.armCall()
        try #require(workIsThere == !shown.isEmpty, context)
        callsAreWanted = workIsThere ? nil : true
      case .disarmKick:
        device.disarmKick()
        if !(eventIndex && format == .split) { kicksAreWanted = false }
      case .disarmCall:
        driver.disarmCall()
        if !(eventIndex && format == .split) { callsAreWanted = false }
      case .reattach:
        guard taken.isEmpty, answered.isEmpty else { continue }
        device = try queue.makeDevice(base: device.base)
      }
    }
    #expect(total > entryCount * 4, "the random walk moved the ring: \(context)")
  }

  private func randomBuffers(_ queue: TestQueue, most: Int, _ random: inout SeededGenerator) -> [DriverQueue.Buffer] {
    let count = Int.random(in: 1...most, using: &random)
    let readableCount = Int.random(in: 0...count, using: &random)
    return (0..<count).map {
      DriverQueue.Buffer(
        guestAddress: queue.data(Int.random(in: 0..<60000, using: &random)), byteCount: UInt32.random(in: 1...4096, using: &random), isWritable: $0 >= readableCount)
    }
  }
}
