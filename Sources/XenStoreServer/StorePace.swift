import EventLoop
import LinuxSystem
import XenStoreCore

/// When to answer, and when to look for the next request instead of sleeping.
///
/// Everybody who asked in one turn of the loop is answered at its end: who is woken by the first answer finds the others, too, and does
/// not sleep and wake for each.
///
/// A single client that asks, waits and asks again spends most of its time on being woken and on waking the daemon: looking for a few
/// microseconds saves both. With several clients at once the processors have better things to do, and there is always somebody
/// who has asked already, so the daemon sleeps. It never looks for longer than ``patienceNanoseconds`` after the last request.
final class StorePace: LoopSource {
  /// Longest pause of a client that is worth waiting for.
  private static let patienceNanoseconds: UInt64 = 50_000
  /// Requests in a row that must have come from one client, each soon after the last.
  private static let streakLength = 8

  /// Called at the end of each turn in which something was served.
  var onTurnEnd: (() -> Void)?

  private var hasServed = false
  private var client: XenStoreConnectionID?
  private var streak = 0
  private var lastServed: UInt64 = 0

  /// Notes that a client has sent something.
  func served(_ id: XenStoreConnectionID, now: UInt64) {
    let isNext = client == id && now - lastServed < StorePace.patienceNanoseconds
    streak = isNext ? streak + 1 : 0
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
    streak >= StorePace.streakLength && now < lastServed + StorePace.patienceNanoseconds
  }

  override func hasWork() -> Bool {
    // The client may be waiting for this very processor.
    SystemThread.yield()
    return false
  }
}
