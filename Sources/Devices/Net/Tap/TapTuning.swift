/// Sizes of what a queue works with.
public struct TapTuning: Sendable {
  /// Whose memory frames are read into.
  public enum Reading: Sendable {
    /// The queue's own: one buffer a read, large enough for any frame.
    case staged
    /// What the client gives for each read (``TapQueueClient/buffer(for:)``).
    case provided
  }

  public var reading = Reading.staged
  /// Reads that are handed to the kernel together at most; a power of two. More than 8 gain nothing at 64 bytes, and a few fill the
  /// cache with large frames: it is what a turn may find waiting.
  public var readCount = 32
  /// Bytes that are read in one turn, about: what stays in the cache until it has been passed on.
  public var readByteCount = 512 << 10
  /// Writes in flight at most; at least what a guest's ring holds (256).
  public var writeCount = 512

  public init() {}
}
