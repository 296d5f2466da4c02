public import SharedRing

/// Whether a plane that found nothing to do goes on looking at its rings, or sleeps: an ``AdaptivePoller`` that is told of turns.
///
/// Part of a plane's state, on one loop.
public struct PlanePoller: Sendable {
  private var poller: AdaptivePoller
  private let turnaroundNanoseconds: UInt64
  @usableFromInline var hasWorked = false
  /// Until when the rings are looked at although the poller has given up.
  private var lookUntil: UInt64 = 0

  /// For a back-end whose answers take longer than any window to poll, as a disk's do: a front-end that polls sends its next requests
  /// within this of getting responses. Sleeping meanwhile would cost both ends a wake-up each time, and teach the poller just that.
  public static let turnaroundNanoseconds: UInt64 = 5_000

  /// - Parameter turnaroundNanoseconds: for how long to look at least once a turn has done something.
  public init(_ policy: PollingPolicy, turnaroundNanoseconds: UInt64 = 0) {
    poller = AdaptivePoller(policy)
    self.turnaroundNanoseconds = policy == .never ? 0 : turnaroundNanoseconds
  }

  /// A turn has done something.
  @inlinable public mutating func turnWorked() { hasWorked = true }

  /// Whether to look once more at `now` (nanoseconds of a monotonic clock) before sleeping.
  public mutating func wantsPolling(now: UInt64) -> Bool {
    if hasWorked {
      hasWorked = false
      poller.workArrived(at: now)
      lookUntil = now &+ turnaroundNanoseconds
    }
    return poller.shouldKeepPolling(now: now) || now < lookUntil
  }
}
