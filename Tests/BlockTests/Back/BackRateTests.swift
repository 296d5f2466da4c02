import EventLoop
import Testing
import XenInterface

@testable import BlockBack
@testable import BlockEngine

/// A disk with a limit behind rings, in virtual time.
@Suite struct BackRateTests {
  @Test(arguments: [1, 4])
  func aFrontEndGetsWhatTheLimitSaysOverAllItsQueues(queueCount: Int) throws {
    let system = try BackSystem(BlockStoreSpec(.memory(byteCount: 4 << 20), rate: BlockRate(requestsPerSecond: 1000)), queueCount: queueCount)
    var now: UInt64 = 1_000_000_000
    system.engine.clock.set(nanoseconds: now)
    var done = [Int](repeating: 0, count: queueCount)
    var sent = done
    while now < 6_000_000_000 {
      for queue in 0..<queueCount {
        while sent[queue] - done[queue] < 8 {
          system.queues[queue].put(system.request(.flush))
          sent[queue] += 1
        }
        system.queues[queue].publish()
      }
      system.loop.turn(maySleep: false)
      var isIdle = true
      for queue in 0..<queueCount {
        while try system.queues[queue].take() != nil {
          done[queue] += 1
          isIdle = false
        }
      }
      guard isIdle else { continue }
      now += 200_000
      system.engine.clock.set(nanoseconds: now)
    }
    let total = done.reduce(0, +)
    #expect(abs(total - 5100) <= 51, "\(done)")
    for count in done { #expect(abs(count - total / queueCount) <= 51, "\(done)") }
    system.finish()
  }
}
