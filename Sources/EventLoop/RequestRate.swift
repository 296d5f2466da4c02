/// How much a device may do, on average, over all its queues and whoever uses it. Nil: as much as it can.
public struct RequestRate: Sendable, Equatable {
  /// Requests a second of any kind (`iops`).
  public var requestsPerSecond: UInt64?
  /// Bytes a second that are moved (`bps`).
  public var bytesPerSecond: UInt64?

  public init(requestsPerSecond: UInt64? = nil, bytesPerSecond: UInt64? = nil) {
    self.requestsPerSecond = requestsPerSecond
    self.bytesPerSecond = bytesPerSecond
  }
}

/// Lets requests begin at the pace of a ``RequestRate``. A plain value without a clock.
public struct RequestPacer: Sendable {
  private var requests: TokenBucket?
  private var bytes: TokenBucket?
  /// The loop will be called when the next request may begin.
  public var isWaiting = false

  public init(_ rate: RequestRate) {
    requests = rate.requestsPerSecond.map { TokenBucket(perSecond: $0) }
    bytes = rate.bytesPerSecond.map { TokenBucket(perSecond: $0) }
  }

  /// Whether there is a limit at all.
  public var isLimited: Bool { requests != nil || bytes != nil }

  /// Nanoseconds until the next request may begin.
  public mutating func nanosecondsUntilAllowed(now: UInt64) -> UInt64 {
    max(requests?.nanosecondsUntilAllowed(now: now) ?? 0, bytes?.nanosecondsUntilAllowed(now: now) ?? 0)
  }

  /// Counts a request that begins.
  public mutating func spend(byteCount: Int, now: UInt64) {
    requests?.spend(1, now: now)
    bytes?.spend(byteCount, now: now)
  }
}
