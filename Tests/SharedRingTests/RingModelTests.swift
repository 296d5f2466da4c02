import SharedMemory
import SharedRing
import TestSupport
import Testing
import XenInterface

/// Random operations of both ends, held against a model made of two queues.
@Suite struct RingModelTests {
  enum Operation: CaseIterable { case putRequest, publishRequests, takeRequest, armRequests, putResponse, publishResponses, takeResponse, armResponses }

  @Test(arguments: startIndices, [1, 2, 3, 4] as [UInt64])
  func behavesLikeTwoQueuesUnderRandomOperations(start: UInt32, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let entryCount = [1, 2, 16, 64].randomElement(using: &random)!
    let context: Comment = "seed \(seed), start \(start), \(entryCount) entries"
    let memory = try makeRingMemory(entryCount: entryCount)
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)

    var next: UInt64 = 0
    var putRequests: [UInt64] = []
    var visibleRequests: [UInt64] = []
    var unanswered: [UInt64] = []
    var putResponses: [UInt64] = []
    var visibleResponses: [UInt64] = []
    var backIsArmed = true
    var frontIsArmed = true

    for step in 0..<4_000 {
      let outstanding = putRequests.count + visibleRequests.count + unanswered.count + putResponses.count + visibleResponses.count
      try #require(front.outstandingCount == outstanding && front.freeRequestCount == entryCount - outstanding, context)
      try #require(back.unansweredCount == unanswered.count, context)
      try #require(back.hasRequests() == !visibleRequests.isEmpty && front.hasResponses() == !visibleResponses.isEmpty, context)

      let operation = Operation.allCases.randomElement(using: &random)!
      switch operation {
      case .putRequest:
        if outstanding == entryCount { continue }
        front.putRequest(TestRequest(identifier: next))
        putRequests.append(next)
        next += 1
      case .publishRequests:
        let notified = front.publishRequests()
        try #require(notified == (backIsArmed && !putRequests.isEmpty), context)
        if notified { backIsArmed = false }
        visibleRequests += putRequests
        putRequests = []
      case .takeRequest:
        let taken = try back.takeRequest()
        try #require(taken == visibleRequests.first.map { TestRequest(identifier: $0) }, "step \(step), \(context)")
        if taken != nil { unanswered.append(visibleRequests.removeFirst()) }
      case .armRequests:
        let workIsThere = try back.armRequestEvent()
        try #require(workIsThere == !visibleRequests.isEmpty, context)
        if !workIsThere { backIsArmed = true }
      case .putResponse:
        guard let index = unanswered.indices.randomElement(using: &random) else { continue }
        let identifier = unanswered.remove(at: index)
        back.putResponse(TestResponse(identifier: identifier))
        putResponses.append(identifier)
      case .publishResponses:
        let notified = back.publishResponses()
        try #require(notified == (frontIsArmed && !putResponses.isEmpty), context)
        if notified { frontIsArmed = false }
        visibleResponses += putResponses
        putResponses = []
      case .takeResponse:
        let taken = try front.takeResponse()
        try #require(taken == visibleResponses.first.map { TestResponse(identifier: $0) }, "step \(step), \(context)")
        if taken != nil { visibleResponses.removeFirst() }
      case .armResponses:
        let workIsThere = try front.armResponseEvent()
        try #require(workIsThere == !visibleResponses.isEmpty, context)
        if !workIsThere { frontIsArmed = true }
      }
    }
    #expect(next > UInt64(entryCount), "the random walk moved the ring: \(context)")
  }
}
