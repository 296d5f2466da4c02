public import NetPackets

/// Whoever takes the frames of a ``TapQueue``. All calls are on its loop.
///
/// A class to be overridden, so that the data path calls through a table slot and not through an existential.
open class TapQueueClient {
  /// What became of a frame that was handed over.
  public enum ReceiveOutcome: Sendable {
    /// The frame may be used again.
    case taken
    /// Not now: the queue keeps it, and reads no more, until ``TapQueue/resume()``.
    case full
    /// Not wanted; counted by the queue.
    case dropped
  }

  public init() {}

  /// Frames to read into, for a queue that reads large frames where the client wants them (``TapTuning/Reading/provided``): a frame of pieces
  /// without a head, with room for any frame. Nil: none now, ask again after ``TapQueue/resume()``.
  open func buffer(for queue: TapQueue) -> Frame? { nil }

  /// A frame of `byteCount` bytes from the interface's users, in the queue's own memory: it may be looked at until this returns.
  open func received(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome { .dropped }

  /// The same, in what came from ``buffer(for:)``: it is the client's again unless this says that it is full, with `byteCount` bytes filled
  /// and its own description of them untouched.
  open func filled(_ buffer: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome { .dropped }

  /// Called once after a run of ``received(_:byteCount:offload:on:)``.
  open func endOfReceiveBatch(on queue: TapQueue) {}

  /// A frame that was pending may be used again.
  open func transmitted(_ frame: Frame, succeeded: Bool, on queue: TapQueue) {}

  /// The interface was removed by somebody else: nothing comes any more, and nothing can be sent.
  open func interfaceRemoved(on queue: TapQueue) {}

  /// Memory that ``buffer(for:)`` gave and that was not filled comes back, because the queue stops.
  open func unused(_ frame: Frame, on queue: TapQueue) {}
}
