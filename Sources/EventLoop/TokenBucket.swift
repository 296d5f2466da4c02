/// So many units in so much time, on average: what every limit of a rate is made of, whatever its units are.
///
/// A bucket that fills continuously and holds one burst. Something may be done while the bucket is not empty, and may overdraw it: so the
/// rate is exact in the long run whatever the sizes are. A plain value without a clock.
public struct TokenBucket: Sendable, Equatable {
  /// Units that are earned in ``intervalNanoseconds``.
  public let count: UInt64
  public let intervalNanoseconds: UInt64
  /// Units that may be spent at once after a pause.
  public let burst: Int64
  /// Units in the bucket; negative when overdrawn.
  private var credit: Int64
  /// What the last refill was short of another unit, in units times ``intervalNanoseconds``: nothing is lost to rounding.
  private var remainder: UInt64 = 0
  private var lastRefill: UInt64?

  /// A full bucket. All three have to be positive.
  public init(count: UInt64, intervalNanoseconds: UInt64, burst: Int64) {
    precondition(count > 0 && intervalNanoseconds > 0 && burst > 0, "a bucket that never fills")
    self.count = count
    self.intervalNanoseconds = intervalNanoseconds
    self.burst = burst
    credit = burst
  }

  /// `count` units a second; after a pause a tenth of a second's at once, and always one.
  public init(perSecond count: UInt64) {
    self.init(count: count, intervalNanoseconds: 1_000_000_000, burst: Int64(clamping: max(1, count / 10)))
  }

  /// Whether something may be done at `now`, in nanoseconds of a monotonic clock.
  public mutating func allows(now: UInt64) -> Bool {
    if credit > 0 { return true }
    refill(now: now)
    return credit > 0
  }

  /// Takes what was done out of the bucket.
  public mutating func spend(_ count: Int, now: UInt64) {
    refill(now: now)
    credit -= Int64(count)
  }

  /// Nanoseconds until ``allows(now:)`` says yes. For a timer.
  public mutating func nanosecondsUntilAllowed(now: UInt64) -> UInt64 {
    if allows(now: now) { return 0 }
    let (high, low) = UInt64(1 - credit).multipliedFullWidth(by: intervalNanoseconds)
    let short = low >= remainder ? (high, low - remainder) : (high == 0 ? (0, 0) : (high - 1, low &- remainder))
    guard short.0 < count else { return .max / 2 }
    return count.dividingFullWidth(short).quotient + 1
  }

  private mutating func refill(now: UInt64) {
    guard let last = lastRefill else {
      lastRefill = now
      return
    }
    guard now > last else { return }
    lastRefill = now
    let (high, low) = (now - last).multipliedFullWidth(by: count)
    let (sum, carried) = low.addingReportingOverflow(remainder)
    let top = high + (carried ? 1 : 0)
    guard top < intervalNanoseconds else { return fill() }
    let (units, rest) = intervalNanoseconds.dividingFullWidth((top, sum))
    guard units < UInt64(burst - credit) else { return fill() }
    credit += Int64(units)
    remainder = rest
  }

  private mutating func fill() {
    credit = burst
    remainder = 0
  }
}
