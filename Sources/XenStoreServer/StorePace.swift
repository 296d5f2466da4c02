import EventLoop
import LinuxSystem

/// When to look for the next request instead of sleeping.
///
/// Clients that ask, wait and ask again spend most of their time on being woken and on waking the daemon: looking for a few microseconds
/// saves half of that. The daemon looks only while requests come in quick succession, never for longer than ``patienceNanoseconds`` after
/// the last one, and offers the processor to others meanwhile.
final class StorePace: LoopSource {
  /// How long to look after a request. A client that sleeps needs some 20 microseconds to be woken, on a virtual processor twice that.
  private static let patienceNanoseconds: UInt64 = 100_000
  /// Longest pause between two requests in quick succession. Longer than ``patienceNanoseconds``: a daemon that sleeps is slower itself.
  private static let pauseNanoseconds: UInt64 = 200_000
  /// Requests in quick succession that make it worth looking.
  private static let streakLength = 8
  /// Looks between two offers of the processor, about ten microseconds.
  private static let looksPerOffer = 256

  private var streak = 0
  private var lastServed: UInt64 = 0
  private var looks = 0

  /// Notes that a client has sent something.
  func served(now: UInt64) {
    streak = now - lastServed < StorePace.pauseNanoseconds ? streak + 1 : 0
    lastServed = now
  }

  override func wantsPolling(now: UInt64) -> Bool {
    streak >= StorePace.streakLength && now < lastServed + StorePace.patienceNanoseconds
  }

  override func hasWork() -> Bool {
    looks += 1
    if looks == StorePace.looksPerOffer {
      looks = 0
      // A client may be waiting for this very processor.
      SystemThread.yield()
    }
    return false
  }
}
