/// Sizes of what a queue works with.
public struct TapTuning: Sendable {
  /// Whose memory frames are read into.
  public enum Reading: Sendable {
    /// The queue's own: one buffer a read, large enough for any frame.
    case staged
    /// What the client gives for each read (``TapQueueClient/buffer(for:)``), as long as frames are large; the queue's own while they
    /// are small, so that many can be read at once.
    case provided
  }

  public var reading = Reading.staged
  /// Reads into the queue's own memory that are handed to the kernel together at most: what a turn may find waiting. A system call and a turn
  /// cost as much as a third of a read of 64 bytes, each.
  public var readCount = 64
  /// Reads into what the client gives that are handed to the kernel together at most.
  public var providedCount = 8
  /// With ``Reading/provided``, what frames may have on average for the next ones to be read into the queue's own memory; below 0: none are.
  public var stagedByteCount = 2048
  /// Bytes that are read in one turn, about: what stays in the cache until it has been passed on.
  public var readByteCount = 512 << 10
  /// Writes in flight at most; at least what a guest's ring holds (256).
  public var writeCount = 512

  public init() {}
}
