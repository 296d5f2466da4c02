import Dispatch
import Foundation
import SharedMemory
import TestSupport
import Testing
import VirtioRing

/// Both sides at once, on threads of their own, over many wraps.
@Suite(.serialized) struct TwoThreadTests {
  static let chainCount = 40_000

  @Test(.timeLimit(.minutes(5)), arguments: bothFormats, [1, 8, 256])
  func everyChainIsAnsweredOnceWhenBothSidesPoll(format: DeviceQueue.Format, entryCount: Int) throws {
    try exchange(TestQueue(format, entryCount: entryCount), sleeping: false)
  }

  /// A lost wake-up would leave both sides asleep: the time limit turns that into a failure.
  @Test(.timeLimit(.minutes(5)), arguments: bothFormats, [true, false])
  func noWakeUpIsLostWhenBothSidesSleep(format: DeviceQueue.Format, eventIndex: Bool) throws {
    for entryCount in [1, 4, 64] { try exchange(TestQueue(format, entryCount: entryCount, eventIndex: eventIndex), sleeping: true) }
  }

  private func exchange(_ queue: sending TestQueue, sleeping: Bool) throws {
    let driver = queue.makeDriver(start: queue.format == .split ? 50_000 : nil)
    let base = driver.base
    let toDevice = DispatchSemaphore(value: 0)
    let toDriver = DispatchSemaphore(value: 0)
    let far = FarSide(queue)
    let thread = TestThread {
      do {
        let device = try far.queue.makeDevice(base: base)
        var answered = 0
        while answered < Self.chainCount {
          var served = false
          device.disarmKick()
          while let chain = try device.take() {
            // The length is the number of the chain: both sides see whether one is lost or doubled.
            device.put(chain.id, writtenByteCount: UInt32(chain.readableByteCount))
            answered += 1
            served = true
            if answered % 3 == 0, device.publish(), sleeping { toDriver.signal() }
          }
          if device.publish(), sleeping { toDriver.signal() }
          if served { continue }
          if sleeping {
            if !device.armKick() { toDevice.wait() }
          } else {
            sched_yield()
          }
        }
      } catch { Issue.record(error) }
    }
    var sent = 0
    var received = 0
    while received < Self.chainCount {
      while sent < Self.chainCount, driver.freeCount > 0 {
        driver.add([DriverQueue.Buffer(guestAddress: queue.data(0), byteCount: UInt32(sent % 40_000 + 1))])
        sent += 1
      }
      if driver.publish(), sleeping { toDevice.signal() }
      var progressed = false
      driver.disarmCall()
      while let used = try driver.takeUsed() {
        try #require(used.writtenByteCount == UInt32(received % 40_000 + 1), "answers come in order here, each once")
        received += 1
        progressed = true
      }
      if progressed { continue }
      if sleeping {
        if !driver.armCall() { toDriver.wait() }
      } else {
        sched_yield()
      }
    }
    // A device that still sleeps has nothing to wait for any more.
    toDevice.signal()
    thread.join()
    #expect(driver.outstandingCount == 0)
  }

  /// The device's thread looks at the queue's memory table, which the driver's does not.
  private final class FarSide: @unchecked Sendable {
    let queue: TestQueue
    init(_ queue: TestQueue) { self.queue = queue }
  }
}
