import SharedMemory
import TestSupport
import Testing
import VirtioRing

/// What was under way when a back-end ended comes out of the next one's queue.
@Suite struct InflightTests {
  /// A queue with a record, and back-ends that end without a word.
  private struct Restartable {
    let queue: TestQueue
    let record: SharedBytes

    init(_ format: DeviceQueue.Format, entryCount: Int) throws {
      queue = try TestQueue(format, entryCount: entryCount)
      record = try SharedRegion(anonymousByteCount: 1 << 16).bytes
    }

    /// A back-end that knows no better base than that of a new queue.
    func start(base: UInt32) throws -> DeviceSide {
      let inflight = queue.format == .split ? InflightRecord(record, entryCount: queue.entryCount) : nil
      let packed = queue.format == .packed ? PackedInflightRecord(record, entryCount: queue.entryCount) : nil
      return DeviceSide(
        try DeviceQueue(
          queue.format, entryCount: queue.entryCount, parts: queue.parts, features: queue.features, memory: queue.memory, base: base, inflight: inflight,
          packedInflight: packed))
    }

    func buffers(_ number: Int, count: Int) -> [DriverQueue.Buffer] {
      (0..<count).map { DriverQueue.Buffer(guestAddress: queue.data(number % 1000 + $0), byteCount: UInt32(number % 1000 + 1), isWritable: $0 > 0) }
    }
  }

  @Test(arguments: bothFormats)
  func whatWasTakenAndNotAnsweredComesAgainInOrder(format: DeviceQueue.Format) throws {
    let system = try Restartable(format, entryCount: 16)
    let driver = system.queue.makeDriver()
    let base = driver.base
    let first = try system.start(base: base)
    let ids = (0..<5).compactMap { driver.add(system.buffers($0, count: 3)) }
    driver.publish()
    for id in ids.prefix(4) { #expect(try first.take()?.id == id) }
    first.put(ids[1])
    first.publish()
    first.put(ids[2])

    let second = try system.start(base: base)
    #expect(second.hasChains() && second.armKick(), "nobody sleeps on what is to be done again")
    for id in [ids[0], ids[2], ids[3], ids[4]] {
      let chain = try #require(try second.take())
      #expect(chain.id == id && chain.elementCount == 3 && chain.readableCount == 1)
      second.put(id)
    }
    #expect(try second.take() == nil)
    second.publish()
    for id in [ids[1], ids[0], ids[2], ids[3], ids[4]] { #expect(try driver.takeUsed()?.id == id) }
    #expect(driver.outstandingCount == 0)
  }

  @Test(arguments: bothFormats)
  func anIndirectChainComesAgain(format: DeviceQueue.Format) throws {
    let system = try Restartable(format, entryCount: 4)
    let driver = system.queue.makeDriver()
    let base = driver.base
    driver.add(system.buffers(100, count: 4), table: system.queue.table(4096, descriptors: 4))
    driver.publish()
    let before = try #require(try system.start(base: base).take())
    let again = try #require(try system.start(base: base).take())
    #expect(again == before && again.elementCount == 4)
  }

  @Test(arguments: bothFormats, [1, 2, 3, 4, 5, 6] as [UInt64])
  func everyChainIsAnsweredOnceHoweverOftenBackEndsEnd(format: DeviceQueue.Format, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let entryCount = format == .split ? 16 : [16, 13].randomElement(using: &random)!
    let system = try Restartable(format, entryCount: entryCount)
    let driver = system.queue.makeDriver()
    let base = driver.base
    var device = try system.start(base: base)
    var outstanding: [UInt16: Int] = [:]
    var taken: [UInt16] = []
    var total = 0
    var ends = 0
    for step in 0..<8_000 {
      let context: Comment = "seed \(seed), step \(step)"
      switch Int.random(in: 0..<12, using: &random) {
      case 0...3:
        let count = Int.random(in: 1...4, using: &random)
        guard let id = driver.add(system.buffers(total, count: count)) else {
          driver.publish()
          continue
        }
        outstanding[id] = total
        total += 1
        if Bool.random(using: &random) { driver.publish() }
      case 4...6:
        guard let chain = try device.take() else { continue }
        let number = try #require(outstanding[chain.id], "a chain that nobody sent, \(context)")
        try #require(device.element(0).byteCount == number % 1000 + 1, context)
        taken.append(chain.id)
      case 7...8:
        guard let index = taken.indices.randomElement(using: &random) else { continue }
        device.put(taken.remove(at: index), writtenByteCount: 7)
      case 9: device.publish()
      case 10:
        while let used = try driver.takeUsed() {
          let number = outstanding.removeValue(forKey: used.id)
          try #require(number != nil, "an answer to nothing, \(seed) \(step)")
        }
      default:
        guard Int.random(in: 0..<4, using: &random) == 0 else { continue }
        ends += 1
        taken = []
        device = try system.start(base: base)
      }
    }
    driver.publish()
    while let chain = try device.take() {
      taken.append(chain.id)
    }
    for id in taken { device.put(id, writtenByteCount: 7) }
    device.publish()
    while let used = try driver.takeUsed() {
      let number = outstanding.removeValue(forKey: used.id)
      try #require(number != nil, "an answer to nothing")
    }
    #expect(outstanding.isEmpty && driver.freeCount == entryCount, "seed \(seed): none was lost")
    #expect(ends > 50 && total > 10 * entryCount, "\(ends) ends, \(total) chains")
  }

  // MARK: An end in the middle of showing answers

  @Test func aSplitBatchThatTheDriverHasSeenIsNotDoneAgain() throws {
    let system = try Restartable(.split, entryCount: 8)
    let driver = system.queue.makeDriver()
    let device = try system.start(base: driver.base)
    for number in 0..<3 { driver.add(system.buffers(number, count: 1)) }
    driver.publish()
    for _ in 0..<3 { _ = try device.take() }
    device.put(2)
    device.put(0)
    let before: [UInt8] = system.record.copyOut(at: 0, byteCount: 256)
    device.publish()
    system.record.copyIn(before, at: 0)
    let next = try system.start(base: 0)
    #expect(try next.take()?.id == 1)
    #expect(try next.take() == nil)
  }

  /// The record says that answers are about to be shown; whether they were is told by the ring.
  @Test(arguments: [true, false])
  func aPackedBatchIsDoneAgainUnlessTheDriverHasSeenIt(isShown: Bool) throws {
    let system = try Restartable(.packed, entryCount: 8)
    let driver = system.queue.makeDriver()
    let base = driver.base
    let device = try system.start(base: base)
    for number in 0..<3 { driver.add(system.buffers(number, count: 2)) }
    driver.publish()
    let ids = [try device.take()?.id, try device.take()?.id, try device.take()?.id].compactMap { $0 }
    device.put(ids[2])
    device.put(ids[0])
    let before = system.record.copyOut(at: 0, byteCount: 32 + 8 * 32)
    let flags = system.queue.parts.descriptors.load16(at: 14)
    device.publish()
    // As it stands between the two halves of the update: old places and marks as before.
    for place in [14, 15, 18, 19, 21] + (0..<8).map({ 32 + $0 * 32 }) { system.record.store8(before[place], at: place) }
    if !isShown { system.queue.parts.descriptors.store16(flags, at: 14) }
    let next = try system.start(base: base)
    var again: [UInt16] = []
    while let chain = try next.take() {
      again.append(chain.id)
      next.put(chain.id)
    }
    #expect(again == (isShown ? [ids[1]] : ids))
    next.publish()
    var used: Set<UInt16> = []
    while let chain = try driver.takeUsed() { used.insert(chain.id) }
    #expect(used == Set(ids) && driver.outstandingCount == 0)
  }

  // MARK: A record that is not to be believed

  @Test(arguments: bothFormats, [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
  func aRecordOfNonsenseDoesNoHarm(format: DeviceQueue.Format, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let system = try Restartable(format, entryCount: 8)
    for round in 0..<200 {
      let driver = system.queue.makeDriver()
      let base = driver.base
      system.record.zero(at: 0, byteCount: 4096)
      let device = try system.start(base: base)
      for number in 0..<4 { driver.add(system.buffers(number, count: 2)) }
      driver.publish()
      for _ in 0..<3 { _ = try device.take() }
      for _ in 0..<Int.random(in: 1...24, using: &random) {
        // Mostly small numbers, which are more often believed.
        let value = Bool.random(using: &random) ? UInt8.random(in: 0...8, using: &random) : UInt8.random(in: 0...255, using: &random)
        system.record.store8(value, at: Int.random(in: 12..<32 + 8 * 32, using: &random))
      }
      let next = try system.start(base: base)
      do throws(VirtqueueFault) {
        for _ in 0..<64 {
          guard let chain = try next.take() else { break }
          next.put(chain.id)
          if round % 2 == 0 { next.publish() }
        }
      } catch {
        #expect(!error.description.isEmpty)
      }
      next.publish()
    }
  }

  @Test func aPackedRecordWhoseListsContradictEachOtherIsAFault() throws {
    let system = try Restartable(.packed, entryCount: 4)
    let driver = system.queue.makeDriver()
    _ = try system.start(base: driver.base)
    // The free list loops.
    system.record.store16(0, at: 32 + 32 + 2)
    let next = try system.start(base: driver.base)
    #expect(throws: VirtqueueFault.inflightRecord) { try next.take() }
  }
}
