import SharedMemory
import SharedRing
import Testing
import XenInterface

@Suite struct RingTests {
  @Test(arguments: startIndices)
  func initialisesTheHeaderAsSharedRingInitDoes(start: UInt32) throws {
    let memory = try makeSharedPages()
    for word in 0..<16 { memory.store32(.max, at: word * 4) }
    _ = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    #expect(memory.load32(at: Shared.requestProducer) == start)
    #expect(memory.load32(at: Shared.responseProducer) == start)
    #expect(memory.load32(at: Shared.requestEvent) == start &+ 1)
    #expect(memory.load32(at: Shared.responseEvent) == start &+ 1)
    for word in 4..<16 { #expect(memory.load32(at: word * 4) == 0) }
  }

  @Test(arguments: startIndices, [1, 2, 8, 128])
  func carriesRequestsThereAndResponsesBackAcrossTheWrap(start: UInt32, entryCount: Int) throws {
    let memory = try makeRingMemory(entryCount: entryCount)
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    #expect(front.entryCount == entryCount && back.entryCount == entryCount)
    var next: UInt64 = 0
    for _ in 0..<5 {
      let first = next
      while front.freeRequestCount > 0 {
        front.putRequest(TestRequest(identifier: next))
        next += 1
      }
      #expect(front.outstandingCount == entryCount)
      #expect(try back.takeRequest() == nil)
      #expect(front.publishRequests() == true)
      for identifier in first..<next {
        #expect(try back.takeRequest() == TestRequest(identifier: identifier))
      }
      #expect(try back.takeRequest() == nil)
      #expect(back.unansweredCount == entryCount)
      for identifier in first..<next { back.putResponse(TestResponse(identifier: identifier)) }
      #expect(try front.takeResponse() == nil)
      #expect(back.publishResponses() == true)
      for identifier in first..<next {
        #expect(try front.takeResponse() == TestResponse(identifier: identifier))
      }
      #expect(try front.takeResponse() == nil)
      #expect(front.freeRequestCount == entryCount)
      #expect(try !front.armResponseEvent())
      #expect(try !back.armRequestEvent())
    }
  }

  @Test(arguments: startIndices)
  func aHintIsTheRequestThatComesLaterAsFarAsItIsKnown(start: UInt32) throws {
    let memory = try makeRingMemory(entryCount: 8)
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    func hints() -> [UInt64?] { (0..<9).map { back.hint(UInt32($0)) { TestRequest(copying: $0, at: 0).identifier } } }
    for identifier in 1...5 as ClosedRange<UInt64> { front.putRequest(TestRequest(identifier: identifier)) }
    #expect(hints().allSatisfy { $0 == nil })
    _ = front.publishRequests()
    #expect(hints().allSatisfy { $0 == nil }, "what was not looked for is not known")
    #expect(try back.takeRequest()?.identifier == 1)
    #expect(hints() == [2, 3, 4, 5, nil, nil, nil, nil, nil])
    #expect(try back.takeRequest()?.identifier == 2, "nothing was taken")
    #expect(hints() == [3, 4, 5, nil, nil, nil, nil, nil, nil])
  }

  @Test func publishingNothingAsksForNoEvent() throws {
    let memory = try makeSharedPages()
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    #expect(front.publishRequests() == false)
    #expect(back.publishResponses() == false)
  }

  @Test(arguments: startIndices)
  func notifiesOnceForEachArming(start: UInt32) throws {
    let memory = try makeSharedPages()
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    for round in 0..<4 as Range<UInt64> {
      front.putRequest(TestRequest(identifier: round))
      #expect(front.publishRequests() == true, "the back is armed")
      front.putRequest(TestRequest(identifier: round))
      #expect(front.publishRequests() == false, "the back was told already")
      #expect(try back.takeRequest() != nil)
      #expect(try back.takeRequest() != nil)
      #expect(try !back.armRequestEvent())
      back.putResponse(TestResponse(identifier: round))
      #expect(back.publishResponses() == true, "the front is armed")
      back.putResponse(TestResponse(identifier: round))
      #expect(back.publishResponses() == false, "the front was told already")
      #expect(try front.takeResponse() != nil)
      #expect(try front.takeResponse() != nil)
      #expect(try !front.armResponseEvent())
    }
  }

  @Test(arguments: startIndices)
  func aFrontIsToldWhenAsManyResponsesAreThereAsItWants(start: UInt32) throws {
    let memory = try makeSharedPages()
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    for identifier in 0..<4 as Range<UInt64> { front.putRequest(TestRequest(identifier: identifier)) }
    _ = front.publishRequests()
    for identifier in 0..<4 as Range<UInt64> { #expect(try back.takeRequest() == TestRequest(identifier: identifier)) }
    #expect(try !front.armResponseEvent(wanted: 3))
    back.putResponse(TestResponse(identifier: 0))
    #expect(back.publishResponses() == false, "one of three")
    #expect(try !front.armResponseEvent(wanted: 3), "what is there is not enough to stay awake")
    #expect(front.hasResponses() == true)
    back.putResponse(TestResponse(identifier: 1))
    back.putResponse(TestResponse(identifier: 2))
    #expect(back.publishResponses() == true)
    #expect(try front.armResponseEvent(wanted: 3))
    for identifier in 0..<3 as Range<UInt64> { #expect(try front.takeResponse() == TestResponse(identifier: identifier)) }
    back.putResponse(TestResponse(identifier: 3))
    #expect(back.publishResponses() == false, "the front has not asked since")
    #expect(try !front.armResponseEvent(wanted: 2))
    #expect(try front.armResponseEvent())
  }

  @Test(arguments: startIndices)
  func armingFindsWhatWasPublishedBeforeIt(start: UInt32) throws {
    let memory = try makeSharedPages()
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    #expect(back.hasRequests() == false)
    front.putRequest(TestRequest(identifier: 1))
    _ = front.publishRequests()
    #expect(back.hasRequests() == true)
    #expect(try back.armRequestEvent())
    #expect(try back.takeRequest() == TestRequest(identifier: 1))
    #expect(back.hasRequests() == false)
    #expect(front.hasResponses() == false)
    back.putResponse(TestResponse(identifier: 1))
    _ = back.publishResponses()
    #expect(front.hasResponses() == true)
    #expect(try front.armResponseEvent())
    #expect(try front.takeResponse() == TestResponse(identifier: 1))
    #expect(front.hasResponses() == false)
  }

  @Test(arguments: startIndices)
  func aBackEndThatAttachesToALiveRingTakesUnansweredRequestsAgain(start: UInt32) throws {
    let memory = try makeSharedPages()
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    for identifier in 0..<3 as Range<UInt64> { front.putRequest(TestRequest(identifier: identifier)) }
    _ = front.publishRequests()
    var first = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    for _ in 0..<3 { _ = try first.takeRequest() }
    first.putResponse(TestResponse(identifier: 0))
    _ = first.publishResponses()

    var second = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    for identifier in 1..<3 as Range<UInt64> { #expect(try second.takeRequest() == TestRequest(identifier: identifier)) }
    #expect(try second.takeRequest() == nil)
  }

  @Test func undefinedBytesOfAResponseAreZero() throws {
    let memory = try makeSharedPages()
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    front.putRequest(TestRequest(identifier: .max))
    _ = front.publishRequests()
    _ = try back.takeRequest()
    for word in 0..<7 { memory.store32(.max, at: Shared.entries + word * 4) }
    back.putResponse(TestResponse(identifier: 9))
    #expect(memory.load32(at: Shared.entries + 12) == 0)
  }

  @Test func callersMayStoreAndCopyOnlyTheWordsTheyNeed() throws {
    let memory = try makeSharedPages()
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    front.putRequest { $0.storeWord64(0x0123_4567_89AB_CDEF, at: 4) }
    _ = front.publishRequests()
    let words = try back.takeRequest { slot in [slot.loadWord32(at: 4), slot.loadWord32(at: 8)] }
    #expect(words == [0x89AB_CDEF, 0x0123_4567])
  }

  @Test(arguments: [1, 2, 32, 256, 512])
  func threeBatchesFillTheRing(entryCount: Int) throws {
    let memory = try makeRingMemory(entryCount: entryCount)
    let front = TestFront(initializing: memory, entryByteCount: testEntryByteCount)
    let back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    #expect(front.batchCount >= 1 && front.batchCount * 3 >= entryCount && (front.batchCount - 1) * 3 < entryCount)
    #expect(back.batchCount == front.batchCount)
  }

  @Test func describesItselfWithPrivateAndSharedIndices() throws {
    let memory = try makeSharedPages()
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: 40)
    let back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    front.putRequest(TestRequest(identifier: 1))
    _ = front.publishRequests()
    #expect(front.debugDescription.contains("req_prod 41 published"))
    #expect(back.debugDescription.contains("req_cons 40"))
    #expect(back.debugDescription.contains("shared req_prod 41 req_event 41 rsp_prod 40 rsp_event 41"))
  }

  // MARK: Our own mistakes

  @Test func puttingMoreRequestsThanTheRingHoldsTraps() async {
    await #expect(processExitsWith: .failure) {
      var front = TestFront(initializing: try makeRingMemory(entryCount: 2), entryByteCount: testEntryByteCount)
      for _ in 0..<3 { front.putRequest(TestRequest()) }
    }
  }

  @Test func puttingMoreResponsesThanRequestsWereTakenTraps() async {
    await #expect(processExitsWith: .failure) {
      let memory = try makeRingMemory(entryCount: 2)
      var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount)
      front.putRequest(TestRequest())
      _ = front.publishRequests()
      var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
      back.putResponse(TestResponse())
    }
  }
}
