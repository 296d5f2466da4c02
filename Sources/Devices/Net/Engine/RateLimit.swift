/// How much a vif may send: so many bytes in so many microseconds, on average, over all its queues.
///
/// A bucket that fills continuously and holds one burst. A frame is sent when the bucket is not empty, and may overdraw it: so the
/// rate is exact in the long run whatever the frames' sizes. A plain value without a clock. The `rate` key of a vif (libxl,
/// `vif rate` of xl-network-configuration); Linux's back-end gives every queue the whole rate instead.
public struct RateLimit: Sendable, Equatable {
  /// Bytes that may be sent in ``intervalNanoseconds``.
  public let byteCount: UInt64
  public let intervalNanoseconds: UInt64
  /// Bytes that may be sent at once after a pause: at least 128 KiB, two of the largest frames (`tx_add_credit`, Linux).
  public let burstByteCount: Int64
  /// Bytes in the bucket; negative when overdrawn.
  private var credit: Int64
  /// What the last refill was short of another byte, in bytes times ``intervalNanoseconds``: nothing is lost to rounding.
  private var remainder: UInt64 = 0
  private var lastRefill: UInt64?

  /// Nil when either is zero, or beyond what can be counted (2^32 bytes, 1000 seconds): no limit that anybody means.
  public init?(byteCount: UInt64, microseconds: UInt64) {
    guard (1...UInt64(UInt32.max)).contains(byteCount), (1...1_000_000_000).contains(microseconds) else { return nil }
    self.byteCount = byteCount
    intervalNanoseconds = microseconds * 1000
    burstByteCount = Int64(max(131_072, byteCount))
    credit = burstByteCount
  }

  /// The value of the key: `BYTES,MICROSECONDS`. Nil when it is no such pair.
  public init?(_ text: String) {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    guard parts.count == 2, let bytes = UInt64(parts[0]), let microseconds = UInt64(parts[1]) else { return nil }
    self.init(byteCount: bytes, microseconds: microseconds)
  }
}

extension RateLimit {
  /// Whether a frame may be sent at `now`, in nanoseconds of a monotonic clock.
  public mutating func allows(now: UInt64) -> Bool {
    if credit > 0 { return true }
    refill(now: now)
    return credit > 0
  }

  /// Takes a frame that was sent out of the bucket.
  public mutating func spend(byteCount count: Int, now: UInt64) {
    refill(now: now)
    credit -= Int64(count)
  }

  /// Nanoseconds until ``allows(now:)`` says yes. For a timer.
  public mutating func nanosecondsUntilAllowed(now: UInt64) -> UInt64 {
    if allows(now: now) { return 0 }
    let missing = UInt64(1 - credit)
    return (missing * intervalNanoseconds - min(remainder, missing * intervalNanoseconds)) / byteCount + 1
  }

  private mutating func refill(now: UInt64) {
    guard let last = lastRefill else {
      lastRefill = now
      return
    }
    guard now > last else { return }
    lastRefill = now
    let (high, low) = (now - last).multipliedFullWidth(by: byteCount)
    let (sum, carried) = low.addingReportingOverflow(remainder)
    let top = high + (carried ? 1 : 0)
    guard top < intervalNanoseconds else { return fill() }
    let (bytes, rest) = intervalNanoseconds.dividingFullWidth((top, sum))
    guard bytes < UInt64(burstByteCount - credit) else { return fill() }
    credit += Int64(bytes)
    remainder = rest
  }

  private mutating func fill() {
    credit = burstByteCount
    remainder = 0
  }
}
