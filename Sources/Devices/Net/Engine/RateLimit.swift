import EventLoop

/// How much a vif may send: so many bytes in so many microseconds, on average, over all its queues.
///
/// A ``TokenBucket`` of bytes. The `rate` key of a vif (libxl, `vif rate` of xl-network-configuration); Linux's back-end gives every queue
/// the whole rate instead.
public struct RateLimit: Sendable, Equatable {
  private var bucket: TokenBucket

  /// Bytes that may be sent in ``intervalNanoseconds``.
  public var byteCount: UInt64 { bucket.count }
  public var intervalNanoseconds: UInt64 { bucket.intervalNanoseconds }
  /// Bytes that may be sent at once after a pause: at least 128 KiB, two of the largest frames (`tx_add_credit`, Linux).
  public var burstByteCount: Int64 { bucket.burst }

  /// Nil when either is zero, or beyond what can be counted (2^32 bytes, 1000 seconds): no limit that anybody means.
  public init?(byteCount: UInt64, microseconds: UInt64) {
    guard (1...UInt64(UInt32.max)).contains(byteCount), (1...1_000_000_000).contains(microseconds) else { return nil }
    bucket = TokenBucket(count: byteCount, intervalNanoseconds: microseconds * 1000, burst: Int64(max(131_072, byteCount)))
  }

  /// The value of the key: `BYTES,MICROSECONDS`. Nil when it is no such pair.
  public init?(_ text: String) {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    guard parts.count == 2, let bytes = UInt64(parts[0]), let microseconds = UInt64(parts[1]) else { return nil }
    self.init(byteCount: bytes, microseconds: microseconds)
  }

  /// Whether a frame may be sent at `now`, in nanoseconds of a monotonic clock.
  public mutating func allows(now: UInt64) -> Bool { bucket.allows(now: now) }

  /// Takes a frame that was sent out of the bucket.
  public mutating func spend(byteCount count: Int, now: UInt64) { bucket.spend(count, now: now) }

  /// Nanoseconds until ``allows(now:)`` says yes. For a timer.
  public mutating func nanosecondsUntilAllowed(now: UInt64) -> UInt64 { bucket.nanosecondsUntilAllowed(now: now) }
}
