import EventLoop
import SharedMemory

/// How much a disk may do, on average, over all its queues and whoever uses it. Nil: as much as it can.
public struct BlockRate: Sendable, Equatable {
  /// Requests a second of any kind (`iops`).
  public var requestsPerSecond: UInt64?
  /// Bytes a second that are read and written (`bps`).
  public var bytesPerSecond: UInt64?

  public init(requestsPerSecond: UInt64? = nil, bytesPerSecond: UInt64? = nil) {
    self.requestsPerSecond = requestsPerSecond
    self.bytesPerSecond = bytesPerSecond
  }
}

/// Lets requests begin at the pace of a ``BlockRate``.
struct BlockPacer {
  private var requests: TokenBucket?
  private var bytes: TokenBucket?
  /// The loop will be called when the next request may begin.
  var isWaiting = false

  init(_ rate: BlockRate) {
    requests = rate.requestsPerSecond.map { TokenBucket(perSecond: $0) }
    bytes = rate.bytesPerSecond.map { TokenBucket(perSecond: $0) }
  }

  /// Whether there is a limit at all.
  var isLimited: Bool { requests != nil || bytes != nil }

  /// Nanoseconds until the next request may begin.
  mutating func nanosecondsUntilAllowed(now: UInt64) -> UInt64 {
    max(requests?.nanosecondsUntilAllowed(now: now) ?? 0, bytes?.nanosecondsUntilAllowed(now: now) ?? 0)
  }

  mutating func spend(byteCount: Int, now: UInt64) {
    requests?.spend(1, now: now)
    bytes?.spend(byteCount, now: now)
  }
}

// Requests that may not begin yet stay with the transport, as if the engine were full.
extension BlockEngine {
  /// Whether a request has to wait. The loop turns again when it need not any more, so that transports ask again.
  @inline(never) func isHeldBack() -> Bool {
    let wait = state.value.pacer.nanosecondsUntilAllowed(now: clock.nowNanoseconds)
    guard wait > 0 else { return false }
    if !state.value.pacer.isWaiting {
      state.value.pacer.isWaiting = true
      loop?.schedule(afterNanoseconds: wait) { [weak self] in self?.state.value.pacer.isWaiting = false }
    }
    return true
  }

  /// Counts a request that begins.
  @inline(never) func spend(_ operation: BlockOperation, byteCount: UInt64) {
    let moved = operation == .discard || operation == .writeZeroes ? 0 : Int(clamping: byteCount)
    state.value.pacer.spend(byteCount: moved, now: clock.nowNanoseconds)
  }
}
