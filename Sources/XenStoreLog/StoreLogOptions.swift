public import SystemPackage

/// How a store on disk is kept.
public struct StoreLogOptions: Sendable {
  /// Bytes of log from which on a new snapshot replaces it, unless twice the last snapshot is more.
  public var compactionByteCount = 8 << 20
  /// Bytes that are kept ready behind the log's end: written before they are needed, so that a commit neither waits for the file to
  /// grow nor fails because the disk is full.
  public var reserveByteCount = 2 << 20
  /// Go on with what is before damage, instead of refusing to start. The damaged files are kept under other names.
  public var acceptsLoss = false
  /// For tests: called before each step on the thread that does it; may wait, and may throw what the step would.
  public var onStep: (@Sendable (Step) throws(Errno) -> Void)?

  /// What is done to the disk.
  public enum Step: Sendable, Hashable { case write, sync, grow, prepareLog, writeSnapshot }

  public init() {}
}
