public import EventLoop
import SharedMemory

/// How much a disk may do, on average, over all its queues and whoever uses it.
public typealias BlockRate = RequestRate

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
