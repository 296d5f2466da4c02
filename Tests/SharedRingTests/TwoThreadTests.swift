import Dispatch
import Foundation
import SharedMemory
import SharedRing
import TestSupport
import Testing
import XenInterface

/// Both ends at once, on threads of their own, across the wrap of the indices.
@Suite(.serialized) struct TwoThreadTests {
  static let exchangeCount: UInt64 = 30_000

  @Test(.timeLimit(.minutes(5)), arguments: [0, .max - 10_000] as [UInt32], [1, 32])
  func everyRequestIsAnsweredOnceWhenBothSidesPoll(start: UInt32, entryCount: Int) throws {
    try exchange(start: start, entryCount: entryCount, sleeping: false)
  }

  /// A lost wake-up would leave both sides asleep: the time limit turns that into a failure.
  @Test(.timeLimit(.minutes(5)), arguments: [0, .max - 10_000] as [UInt32], [1, 4, 32])
  func noWakeUpIsLostWhenBothSidesSleep(start: UInt32, entryCount: Int) throws {
    try exchange(start: start, entryCount: entryCount, sleeping: true)
  }

  private func exchange(start: UInt32, entryCount: Int, sleeping: Bool) throws {
    let memory = try makeRingMemory(entryCount: entryCount)
    var front = TestFront(initializing: memory, entryByteCount: testEntryByteCount, startingAt: start)
    let toBack = DispatchSemaphore(value: 0)
    let toFront = DispatchSemaphore(value: 0)

    let backThread = TestThread {
      do {
        var back = try TestBack(attaching: memory, entryByteCount: testEntryByteCount)
        var answered: UInt64 = 0
        while answered < Self.exchangeCount {
          var served = false
          while let request = try back.takeRequest() {
            if !request.isWhole { Issue.record("\(request) is torn") }
            back.putResponse(TestResponse(identifier: request.identifier))
            answered += 1
            served = true
          }
          if back.publishResponses(), sleeping { toFront.signal() }
          if served { continue }
          if sleeping {
            if try !back.armRequestEvent() { toBack.wait() }
          } else {
            sched_yield()
          }
        }
      } catch { Issue.record(error) }
    }

    var sent: UInt64 = 0
    var received: UInt64 = 0
    while received < Self.exchangeCount {
      while sent < Self.exchangeCount, front.freeRequestCount > 0 {
        front.putRequest(TestRequest(identifier: sent))
        sent += 1
      }
      if front.publishRequests(), sleeping { toBack.signal() }
      var progressed = false
      while let response = try front.takeResponse() {
        try #require(response == TestResponse(identifier: received), "responses come in order here, each once")
        received += 1
        progressed = true
      }
      if progressed { continue }
      if sleeping {
        if try !front.armResponseEvent() { toFront.wait() }
      } else {
        sched_yield()
      }
    }
    backThread.join()
    #expect(front.outstandingCount == 0)
  }
}
