import SharedMemory
import SharedRing
import Testing

/// Requests and responses that are taken and put several at a time.
@Suite struct RingBatchTests {
  @Test(arguments: startIndices)
  func whatIsTakenTogetherIsWhatIsTakenOneByOne(start: UInt32) throws {
    let memory = try makeRingMemory(entryCount: 8)
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    var seen: [UInt64] = []
    for identifier in 0..<6 as Range<UInt64> { front.putRequest(TestRequest(identifier: identifier)) }
    _ = front.publishRequests()
    var numbers: [Int] = []
    let four = try back.takeRequests(4) { number, request in
      numbers.append(number)
      seen.append(request.isWhole ? request.identifier : .max)
      return true
    }
    let one = try back.takeRequests(4) { _, request in
      seen.append(request.identifier)
      return false
    }
    #expect(four == 4 && numbers == [0, 1, 2, 3] && one == 1, "the one that it stops at is taken")
    #expect(try back.takeRequest()?.identifier == 5)
    #expect(seen == [0, 1, 2, 3, 4])
    let none = try back.takeRequests(4) { _, _ in true }
    #expect(none == 0)
    #expect(back.unansweredCount == 6)
    back.putResponses(6) { TestResponse(identifier: UInt64($0) * 10) }
    #expect(back.unansweredCount == 0)
    _ = back.publishResponses()
    var answers: [UInt64] = []
    var slots: [Int] = []
    numbers = []
    let first = try front.takeResponses(4) { number, slot, response in
      numbers.append(number)
      answers.append(response.identifier)
      slots.append(slot)
      return true
    }
    let second = try front.takeResponses(4) { _, slot, response in
      answers.append(response.identifier)
      slots.append(slot)
      return response.identifier < 40
    }
    #expect(first == 4 && numbers == [0, 1, 2, 3] && second == 1)
    #expect(try front.takeResponse()?.identifier == 50)
    #expect(answers == [0, 10, 20, 30, 40])
    #expect(slots == (0..<5).map { Int((start &+ UInt32($0)) & 7) })
    let noMore = try front.takeResponses(4) { _, _, _ in true }
    #expect(noMore == 0)
    #expect(front.freeRequestCount == 8)
  }

  @Test func impossibleIndicesAreFaultsHere() throws {
    let memory = try makeRingMemory(entryCount: 8)
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
    memory.store32(9, at: Shared.requestProducer)
    #expect(throws: RingFault.self) { try back.takeRequests(4) { _, _ in true } }
    memory.store32(1, at: Shared.responseProducer)
    #expect(throws: RingFault.self) { try front.takeResponses(4) { _, _, _ in true } }
  }

  @Test func moreResponsesThanRequestsAreABugOfOurs() async {
    await #expect(processExitsWith: .failure) {
      let memory = try makeRingMemory(entryCount: 8)
      var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount)
      var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
      front.putRequest(TestRequest(identifier: 1))
      _ = front.publishRequests()
      _ = try back.takeRequest()
      back.putResponses(2) { TestResponse(identifier: UInt64($0)) }
    }
  }
}
