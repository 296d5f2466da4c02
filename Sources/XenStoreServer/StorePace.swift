import EventLoop
import LinuxSystem
import XenStoreCore

/// When to answer, and when to look for the next request instead of sleeping.
///
/// Everybody who asked in one turn of the loop is answered at its end: who is woken by the first answer finds the others, too, and does
/// not sleep and wake for each.
///
/// Clients that ask, wait and ask again spend most of their time on being woken and on waking the daemon: looking for a few
/// microseconds saves both. With several clients that is worth it only while this processor has nothing else to do, which the daemon
/// notices by offering it to others: when somebody took it, the daemon sleeps as usual for a while. A single client may well be who took
/// it. The daemon never looks for longer than ``patienceNanoseconds`` after the last request.
final class StorePace: LoopSource {
  /// Longest pause between requests that is worth waiting for.
  private static let patienceNanoseconds: UInt64 = 50_000
  /// Turns in a row, each soon after the last, that make it worth looking.
  private static let streakLength = 8
  /// An offer of the processor that takes longer was taken.
  private static let offerNanoseconds: UInt64 = 4_000
  /// How long not to look after that.
  private static let restraintNanoseconds: UInt64 = 2_000_000

  /// Called at the end of each turn in which something was served.
  var onTurnEnd: (() -> Void)?

  private var hasServed = false
  private var streak = 0
  /// The last client, and in how many turns in a row it was the only one.
  private var client: XenStoreConnectionID?
  private var soloStreak = 0
  private var lastServed: UInt64 = 0
  private var restrainedUntil: UInt64 = 0

  /// Notes that a client has sent something.
  func served(_ id: XenStoreConnectionID, now: UInt64) {
    if !hasServed { streak = now - lastServed < StorePace.patienceNanoseconds ? streak + 1 : 0 }
    soloStreak = client == id ? soloStreak + 1 : 0
    client = id
    lastServed = now
    hasServed = true
  }

  override func service() -> Service {
    if hasServed {
      hasServed = false
      onTurnEnd?()
    }
    return .idle
  }

  override func wantsPolling(now: UInt64) -> Bool {
    guard streak >= StorePace.streakLength, now < lastServed + StorePace.patienceNanoseconds else { return false }
    return now >= restrainedUntil || soloStreak >= StorePace.streakLength
  }

  override func hasWork() -> Bool {
    // A client may be waiting for this very processor.
    let before = MonotonicClock.nowNanoseconds
    SystemThread.yield()
    let after = MonotonicClock.nowNanoseconds
    if after - before > StorePace.offerNanoseconds { restrainedUntil = after + StorePace.restraintNanoseconds }
    return false
  }
}
