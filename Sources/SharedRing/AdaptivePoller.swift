/// Decides how long a loop that ran out of work goes on looking before it sleeps.
///
/// A plain value without a clock: the caller says what time it is, so decisions can be replayed. Use:
/// ```swift
/// if foundWork { poller.workArrived(at: now) } else if !poller.shouldKeepPolling(now: now) { armAndSleep() }
/// ```
/// The window grows when work comes while polling (a hit) and halves when it runs out first (a miss); a loop whose work
/// comes too far apart thus ends up not polling at all. It still tries a full window now and then, ever less often,
/// because without polling it cannot know that the peer has become fast: the gap that it sees contains its own wake-up.
public struct AdaptivePoller: Sendable {
  /// What was asked for.
  public let policy: PollingPolicy
  /// How long the loop polls after its last work, in nanoseconds.
  public private(set) var windowNanoseconds: UInt64

  private let maximum: UInt64
  private var lastWork: UInt64?
  private var ranOut = false
  /// Arrivals still to come before a full window is tried again.
  private var arrivalsUntilProbe: UInt32
  private var probeInterval: UInt32

  /// Windows below this are not worth a look at the clock; they become zero.
  static let minimumWindowNanoseconds: UInt64 = 1_000
  static let firstProbeInterval: UInt32 = 4
  static let lastProbeInterval: UInt32 = 256

  public init(_ policy: PollingPolicy) {
    self.policy = policy
    switch policy {
    case .never: maximum = 0
    case .adaptive(let maximumNanoseconds): maximum = maximumNanoseconds
    case .always: maximum = .max
    }
    windowNanoseconds = maximum
    arrivalsUntilProbe = Self.firstProbeInterval
    probeInterval = Self.firstProbeInterval
  }

  /// Work was found at `now` (nanoseconds of a monotonic clock), by polling or after sleeping.
  public mutating func workArrived(at now: UInt64) {
    defer {
      lastWork = now
      ranOut = false
    }
    guard case .adaptive = policy, let lastWork else { return }
    if ranOut {
      probeIfTime()
    } else if now > lastWork, now &- lastWork > windowNanoseconds / 2 {
      // A hit in the second half: the window was nearly too short.
      windowNanoseconds = min(maximum, max(windowNanoseconds, Self.minimumWindowNanoseconds) &* 2)
      probeInterval = Self.firstProbeInterval
    } else {
      probeInterval = Self.firstProbeInterval
    }
  }

  /// Nothing was found at `now`. False: arm the event, look once more, and sleep.
  public mutating func shouldKeepPolling(now: UInt64) -> Bool {
    switch policy {
    case .never: return false
    case .always: return true
    case .adaptive: break
    }
    if ranOut { return false }
    // Time starts at the first look; a loop that never had work waits one window, then sleeps.
    let start = lastWork ?? now
    lastWork = start
    if now &- start < windowNanoseconds { return true }
    ranOut = true
    windowNanoseconds /= 2
    if windowNanoseconds < Self.minimumWindowNanoseconds { windowNanoseconds = 0 }
    return false
  }

  private mutating func probeIfTime() {
    arrivalsUntilProbe -= 1
    if arrivalsUntilProbe > 0 { return }
    windowNanoseconds = maximum
    probeInterval = min(probeInterval &* 2, Self.lastProbeInterval)
    arrivalsUntilProbe = probeInterval
  }
}
