import SharedRing
import TestSupport
import Testing

@Suite struct AdaptivePollerTests {
  static let maximum: UInt64 = 50_000

  @Test func neverPollsWhenToldNever() {
    var poller = AdaptivePoller(.never)
    poller.workArrived(at: 100)
    #expect(poller.shouldKeepPolling(now: 100) == false)
  }

  @Test func pollsForEverWhenToldAlways() {
    var poller = AdaptivePoller(.always)
    poller.workArrived(at: 100)
    #expect(poller.shouldKeepPolling(now: .max) == true)
  }

  @Test func sleepsAtTheEndOfItsWindowAndStaysAsleep() {
    var poller = AdaptivePoller(.adaptive(maximumNanoseconds: Self.maximum))
    poller.workArrived(at: 1_000)
    #expect(poller.shouldKeepPolling(now: 1_000 + Self.maximum - 1) == true)
    #expect(poller.shouldKeepPolling(now: 1_000 + Self.maximum) == false)
    #expect(poller.shouldKeepPolling(now: 1_000) == false, "asleep until work comes, whatever the clock says")
  }

  @Test func aLoopThatNeverHadWorkWaitsOneWindowFromItsFirstLook() {
    var poller = AdaptivePoller(.adaptive(maximumNanoseconds: Self.maximum))
    #expect(poller.shouldKeepPolling(now: 7_000_000) == true)
    #expect(poller.shouldKeepPolling(now: 7_000_000 + Self.maximum) == false)
  }

  /// Plays work that arrives every `gap` nanoseconds; a sleeper finds it `wake` late. Returns how long was polled in vain and how often slept.
  private func play(_ poller: inout AdaptivePoller, gap: UInt64, count: Int, from start: UInt64 = 0, wake: UInt64 = 10_000) -> (
    wasted: UInt64, sleeps: Int, end: UInt64
  ) {
    var wasted: UInt64 = 0
    var sleeps = 0
    var now = start
    for _ in 0..<count {
      poller.workArrived(at: now)
      let due = now + gap
      let looked = now
      while now < due, poller.shouldKeepPolling(now: now) { now += 500 }
      if now < due {
        wasted += now - looked
        sleeps += 1
        now = due + wake
      }
    }
    return (wasted, sleeps, now)
  }

  @Test func doesNotSleepWhenWorkComesInsideTheWindow() {
    var poller = AdaptivePoller(.adaptive(maximumNanoseconds: Self.maximum))
    #expect(play(&poller, gap: 30_000, count: 1_000).sleeps == 0)
  }

  @Test func stopsPollingWhenWorkComesTooFarApart() {
    var poller = AdaptivePoller(.adaptive(maximumNanoseconds: Self.maximum))
    let result = play(&poller, gap: 1_000_000, count: 10_000)
    #expect(result.sleeps == 10_000)
    #expect(result.wasted < 10_000 * 1_000_000 / 1_000, "less than a thousandth of the time is polled in vain")
  }

  @Test func noticesThatThePeerBecameFast() {
    var poller = AdaptivePoller(.adaptive(maximumNanoseconds: Self.maximum))
    let slow = play(&poller, gap: 1_000_000, count: 10_000)
    let fast = play(&poller, gap: 2_000, count: 1_000, from: slow.end)
    #expect(fast.sleeps < 300)
    #expect(play(&poller, gap: 2_000, count: 1_000, from: fast.end).sleeps == 0)
  }

  @Test func theWindowNeverExceedsWhatWasAskedFor() {
    var random = SeededGenerator(seed: 11)
    var poller = AdaptivePoller(.adaptive(maximumNanoseconds: Self.maximum))
    var now: UInt64 = 0
    for _ in 0..<10_000 {
      now += .random(in: 0...120_000, using: &random)
      if Bool.random(using: &random) { poller.workArrived(at: now) } else { _ = poller.shouldKeepPolling(now: now) }
      #expect(poller.windowNanoseconds <= Self.maximum)
    }
  }

  @Test func aClockThatStandsStillOrGoesBackDoesNoHarm() {
    var poller = AdaptivePoller(.adaptive(maximumNanoseconds: Self.maximum))
    poller.workArrived(at: 1_000_000)
    poller.workArrived(at: 1_000_000)
    poller.workArrived(at: 10)
    #expect(poller.shouldKeepPolling(now: 10) == true)
    #expect(poller.shouldKeepPolling(now: 0) == false, "a clock before the last work counts as a window that ran out")
  }
}
