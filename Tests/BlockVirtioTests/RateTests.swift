import BlockVirtio
import EventLoop
import Testing
import VirtioInterface
import VirtioRing

@testable import BlockEngine

/// A disk with a limit, in virtual time: what it does is what the limit says, to 1 %, over all queues together and shared fairly.
@Suite struct RateTests {
  /// Keeps every queue full for `seconds` of virtual time, and returns what each has done.
  private func load(_ rate: BlockRate, queueCount: Int, byteCount: Int, seconds: Double, stepNanoseconds: UInt64) throws -> [Int] {
    let disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: 1 << 20), rate: rate), queueCount: queueCount)
    defer { disk.close() }
    var now: UInt64 = 1_000_000_000
    disk.device.engine.clock.set(nanoseconds: now)
    var done = [Int](repeating: 0, count: queueCount)
    var waiting = [[VirtioDisk.Sent]](repeating: [], count: queueCount)
    let end = now + UInt64(seconds * 1e9)
    while now < end {
      for queue in 0..<queueCount {
        while waiting[queue].count < 8 { waiting[queue].append(try disk.send([VirtioDisk.header(0)], writable: [byteCount, 1], on: queue)) }
      }
      disk.loop.turn(maySleep: false)
      var isIdle = true
      for queue in 0..<queueCount {
        while let first = waiting[queue].first, let answer = try disk.answer(to: first) {
          #expect(answer.status == .okay)
          waiting[queue].removeFirst()
          done[queue] += 1
          isIdle = false
        }
      }
      guard isIdle else { continue }
      now += stepNanoseconds
      disk.device.engine.clock.set(nanoseconds: now)
    }
    // What is left has no limit any more: time flies.
    for sent in waiting.joined() {
      while try disk.answer(to: sent) == nil {
        now += 1_000_000_000
        disk.device.engine.clock.set(nanoseconds: now)
        disk.loop.turn(maySleep: false)
      }
    }
    return done
  }

  @Test(arguments: [1, 3])
  func requestsASecondAreExactAndSharedFairly(queueCount: Int) throws {
    let done = try load(BlockRate(requestsPerSecond: 2000), queueCount: queueCount, byteCount: 512, seconds: 5, stepNanoseconds: 100_000)
    // A tenth of a second's at once, in the beginning.
    let expected = 2000.0 * 5 + 200
    let total = Double(done.reduce(0, +))
    #expect(abs(total - expected) <= expected / 100, "\(done)")
    for count in done { #expect(abs(Double(count) - total / Double(queueCount)) <= expected / 50, "\(done)") }
  }

  @Test(arguments: [512, 4096, 65536])
  func bytesASecondAreExactWhateverTheSizeOfRequests(byteCount: Int) throws {
    let seconds = byteCount > 4096 ? 20.0 : 4.0
    let done = try load(BlockRate(bytesPerSecond: 4 << 20), queueCount: 1, byteCount: byteCount, seconds: seconds, stepNanoseconds: 200_000)
    let expected = Double(4 << 20) * (seconds + 0.1)
    #expect(abs(Double(done[0] * byteCount) - expected) <= expected / 100, "\(done)")
  }

  @Test func theTighterOfTwoLimitsCounts() throws {
    let done = try load(
      BlockRate(requestsPerSecond: 1000, bytesPerSecond: 1 << 20), queueCount: 2, byteCount: 4096, seconds: 10, stepNanoseconds: 100_000)
    let expected = Double(1 << 20) * 10.1 / 4096
    #expect(abs(Double(done.reduce(0, +)) - expected) <= expected / 100, "\(done)")
  }

  /// In real time: the loop sleeps until the next request may begin, and wakes up by itself.
  @Test func aRequestThatWaitsForItsTurnIsNotForgotten() throws {
    let disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: 1 << 20), rate: BlockRate(requestsPerSecond: 50)))
    defer { disk.close() }
    let sent = try (0..<10).map { _ in try disk.send([VirtioDisk.header(0)], writable: [512, 1]) }
    for one in sent {
      var answer = try disk.answer(to: one)
      while answer == nil {
        disk.loop.turn()
        answer = try disk.answer(to: one)
      }
      #expect(answer?.status == .okay)
    }
  }
}
