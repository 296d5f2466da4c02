/// Holds back messages that a guest can cause, so that it cannot fill a disk with them (XSA-43): ten at once, then one a second.
public struct LogLimiter: Sendable {
  private var tokens = Self.burst
  private var lastRefill: ContinuousClock.Instant?
  /// Messages held back since the last one that went out.
  private var heldBack: UInt64 = 0
  private static let burst = 10

  public init() {}

  /// Whether a message may go out now; if so, how many were held back before it.
  public mutating func admit(now: ContinuousClock.Instant = .now) -> UInt64? {
    let previous = lastRefill ?? now
    let elapsed = Int(clamping: (now - previous).components.seconds)
    if elapsed > 0 || lastRefill == nil { lastRefill = now }
    tokens = min(Self.burst, tokens + min(elapsed, Self.burst))
    guard tokens > 0 else {
      heldBack &+= 1
      return nil
    }
    tokens -= 1
    defer { heldBack = 0 }
    return heldBack
  }
}
