public import NetPackets

/// Whoever uses a front-end's queues: all calls are on its loop.
///
/// A class to be overridden, so that the data path calls through a table slot and not through an existential.
open class NetFrontClient {
  /// What became of a received frame.
  public enum ReceiveOutcome: Sendable {
    /// The frame may be used again: what was wanted of it has been copied.
    case taken
    /// It stays as it is, with its pages, until ``NetFrontPlane/giveBack(_:)``.
    case held
    /// Not wanted; counted by the front-end.
    case dropped
  }

  public init() {}

  /// A frame for us, on queue `queue`. Its head is a private copy; the pieces are pages that the back-end can still write to.
  open func received(_ frame: Frame, queue: Int) -> ReceiveOutcome { .dropped }

  /// Several frames for us, on queue `queue`, as ``received(_:queue:)`` takes each of them: says in the batch what became of it, `pending` for one
  /// that is held. For a client that can do better than one after the other.
  open func received(_ batch: FrameBatch, queue: Int) {
    for index in 0..<batch.count {
      switch batch.withFrame(index, { received($0, queue: queue) }) {
      case .taken: break
      case .held: batch.setOutcome(.pending, of: index)
      case .dropped: batch.setOutcome(.dropped, of: index)
      }
    }
  }

  /// Called once after a run of ``received(_:queue:)``.
  open func endOfReceiveBatch() {}

  /// There is room on queue `queue` after ``NetFrontPlane/transmit(_:queue:)`` said that it was full, or after a connection was made.
  open func transmitReady(queue: Int) {}

  /// Frames go through from now on, or do not any more.
  open func linkChanged(isUp: Bool) {}
}
