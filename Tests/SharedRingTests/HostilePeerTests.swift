import SharedMemory
import SharedRing
import TestSupport
import Testing
import XenInterface

/// What the other side may write at any time, and what must then happen: a fault, a harmless value, never a crash.
@Suite struct HostilePeerTests {
  // MARK: Producers that jump

  @Test(arguments: startIndices, [9, 10, 1_000, 0x8000_0000, .max, .max - 7] as [UInt32])
  func aRequestProducerMoreThanOneRingAheadBreaksTheRing(start: UInt32, jump: UInt32) throws {
    let memory = try makeRingMemory(entryCount: 8)
    _ = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    memory.store32(start &+ jump, at: Shared.requestProducer)
    let expected = RingFault(offender: .front, claimedProducer: start &+ jump, consumer: start, allowedCount: 8)
    #expect(fault { () throws(RingFault) in _ = try back.takeRequest() } == expected)
    memory.store32(start &+ 1, at: Shared.requestProducer)
    #expect(fault { () throws(RingFault) in _ = try back.takeRequest() } == expected, "an honest value later does not mend the ring")
    #expect(fault { () throws(RingFault) in _ = try back.armRequestEvent() } == expected)
  }

  @Test(arguments: startIndices)
  func aRequestProducerExactlyOneRingAheadIsFine(start: UInt32) throws {
    let memory = try makeRingMemory(entryCount: 8)
    _ = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    memory.store32(start &+ 8, at: Shared.requestProducer)
    for _ in 0..<8 { #expect(try back.takeRequest() != nil) }
    #expect(try back.takeRequest() == nil)
  }

  @Test(arguments: startIndices)
  func aRequestProducerThatGoesBackBreaksTheRing(start: UInt32) throws {
    let memory = try makeRingMemory(entryCount: 8)
    _ = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    memory.store32(start &+ 4, at: Shared.requestProducer)
    for _ in 0..<4 { _ = try back.takeRequest() }
    memory.store32(start &+ 3, at: Shared.requestProducer)
    #expect(fault { () throws(RingFault) in _ = try back.takeRequest() }?.consumer == start &+ 4)
  }

  @Test(arguments: startIndices)
  func requestsBeyondUnansweredOnesAreNotTaken(start: UInt32) throws {
    let memory = try makeRingMemory(entryCount: 8)
    _ = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    memory.store32(start &+ 8, at: Shared.requestProducer)
    for _ in 0..<8 { _ = try back.takeRequest() }
    // Two responses are prepared but not published: an honest front cannot have freed their entries yet.
    back.putResponse(TestResponse())
    back.putResponse(TestResponse())
    memory.store32(start &+ 10, at: Shared.requestProducer)
    #expect(fault { () throws(RingFault) in _ = try back.takeRequest() }?.allowedCount == 0)
  }

  @Test(arguments: startIndices)
  func attachingToAnImpossibleRingThrows(start: UInt32) throws {
    let memory = try makeRingMemory(entryCount: 8)
    _ = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    memory.store32(start &+ 9, at: Shared.requestProducer)
    let thrown = fault { () throws(RingFault) in _ = try TestBack(attaching: memory, entryByteCount: testEntryByteCount) }
    #expect(thrown == RingFault(offender: .front, claimedProducer: start &+ 9, consumer: start, allowedCount: 8))
  }

  @Test(arguments: startIndices, [1, 3, 8, 9, 0x8000_0000, .max] as [UInt32])
  func responsesThatNobodyAskedForBreakTheRing(start: UInt32, excess: UInt32) throws {
    let memory = try makeRingMemory(entryCount: 8)
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    front.putRequest(TestRequest())
    front.putRequest(TestRequest())
    _ = front.publishRequests()
    front.putRequest(TestRequest())  // put but not published: nobody can have answered it
    memory.store32(start &+ 2 &+ excess, at: Shared.responseProducer)
    guard 2 &+ excess > 2 else {
      #expect(try front.takeResponse() != nil, "\(2 &+ excess) responses are possible")
      return
    }
    let expected = RingFault(offender: .back, claimedProducer: start &+ 2 &+ excess, consumer: start, allowedCount: 2)
    #expect(fault { () throws(RingFault) in _ = try front.takeResponse() } == expected)
    memory.store32(start &+ 1, at: Shared.responseProducer)
    #expect(fault { () throws(RingFault) in _ = try front.takeResponse() } == expected, "an honest value later does not mend the ring")
    #expect(fault { () throws(RingFault) in _ = try front.armResponseEvent() } == expected)
  }

  @Test func aFaultSaysWhoDidWhat() {
    let fault = RingFault(offender: .front, claimedProducer: 2, consumer: .max - 6, allowedCount: 8)
    #expect(fault.description == "front-end's req_prod is 2, 9 ahead of our consumer 4294967289; at most 8 are possible")
  }

  // MARK: Shared indices that are ours

  @Test(arguments: startIndices, [0, 1, 77, .max] as [UInt32])
  func rewritingOurPublishedProducerDoesNotChangeTheNotifyDecision(start: UInt32, garbage: UInt32) throws {
    let memory = try makeRingMemory(entryCount: 8)
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)

    memory.store32(start &+ garbage, at: Shared.requestProducer)
    front.putRequest(TestRequest())
    #expect(front.publishRequests() == true, "the back armed at the first request")
    memory.store32(start &+ garbage, at: Shared.requestProducer)
    front.putRequest(TestRequest())
    #expect(front.publishRequests() == false, "the back was told already")
    #expect(memory.load32(at: Shared.requestProducer) == start &+ 2, "publishing repairs what the peer overwrote")

    _ = try back.takeRequest()
    _ = try back.takeRequest()
    memory.store32(start &+ garbage, at: Shared.responseProducer)
    back.putResponse(TestResponse())
    #expect(back.publishResponses() == true, "the front armed at the first response")
    memory.store32(start &+ garbage, at: Shared.responseProducer)
    back.putResponse(TestResponse())
    #expect(back.publishResponses() == false, "the front was told already")
    #expect(memory.load32(at: Shared.responseProducer) == start &+ 2)
  }

  @Test func anyEventIndexOnlyDecidesWhetherWeNotify() throws {
    var random = SeededGenerator(seed: 7)
    let memory = try makeRingMemory(entryCount: 8)
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: .max - 3)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    for round in 0..<1_000 as Range<UInt64> {
      memory.store32(random.next(), at: Shared.requestEvent)
      memory.store32(random.next(), at: Shared.responseEvent)
      front.putRequest(TestRequest(identifier: round))
      _ = front.publishRequests()
      #expect(try back.takeRequest() == TestRequest(identifier: round))
      back.putResponse(TestResponse(identifier: round))
      _ = back.publishResponses()
      #expect(try front.takeResponse() == TestResponse(identifier: round))
    }
  }

  // MARK: Entries that change while they are copied

  @Test(.timeLimit(.minutes(5)))
  func aCopyStaysAsItWasWhileAThreadRewritesTheEntry() throws {
    let memory = try makeRingMemory(entryCount: 1)
    _ = TestFront(initializing: memory, entryByteCount: testEntryByteCount)
    memory.storeRelease32(1, at: Shared.requestProducer)
    let stop = Flag()
    let flipper = TestThread {
      var value: UInt64 = 0
      while !stop.isSet {
        value = ~value
        for word in 0..<3 { memory.storeWord64(value, at: Shared.entries + word * 8) }
      }
    }
    var seen: Set<UInt64> = []
    var rounds = 0
    while seen.count < 2 || rounds < 20_000 {
      rounds += 1
      // The same request each time, never answered: a response would land in the entry too.
      var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
      let request = try #require(try back.takeRequest())
      let first = wordSum(request)
      seen.insert(request.identifier)
      // Words are copied whole, each once: none can be a mixture, and a second look sees what the first saw.
      let isWhole = [0, .max].contains(request.identifier) && [0, .max].contains(request.double)
      let second = wordSum(request)
      guard isWhole, first == second else {
        Issue.record("round \(rounds): \(request) changed or is torn")
        break
      }
    }
    stop.set()
    flipper.join()
  }
}

/// All words of the copy in one number, computed out of the optimiser's sight.
@inline(never) private func wordSum(_ request: TestRequest) -> UInt64 {
  request.identifier &* 3 &+ request.double &* 5 &+ UInt64(request.low) &* 7 &+ UInt64(request.inverted)
}
