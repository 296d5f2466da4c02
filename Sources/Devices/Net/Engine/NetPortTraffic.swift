/// What went through a port, as the port has counted it, and what did not by reason: for `status`.
public struct NetPortTraffic: Sendable, Equatable {
  /// Frames and their bytes, Ethernet headers included.
  public struct Count: Sendable, Equatable {
    public var frames: UInt64
    public var bytes: UInt64

    public init(frames: UInt64 = 0, bytes: UInt64 = 0) {
      self.frames = frames
      self.bytes = bytes
    }

    mutating func add(_ byteCount: Int) {
      frames &+= 1
      bytes &+= UInt64(byteCount)
    }

    mutating func add(frames count: Int, bytes byteCount: Int) {
      frames &+= UInt64(truncatingIfNeeded: count)
      bytes &+= UInt64(truncatingIfNeeded: byteCount)
    }
  }

  /// A file that frames are recorded to.
  public struct Recording: Sendable, Equatable {
    public var frames: UInt64
    /// Frames that were left out: the disk was too slow, or writing has failed.
    public var missed: UInt64
    /// Why nothing is written any more.
    public var failure: String?
  }

  /// From the vif.
  public var taken: Count
  /// To the vif.
  public var delivered: Count
  /// Frames that were lost here, by reason; without those that are none.
  public var drops: [String: UInt64]
  public var recording: Recording?

  public init(taken: Count = Count(), delivered: Count = Count(), drops: [String: UInt64] = [:]) {
    self.taken = taken
    self.delivered = delivered
    self.drops = drops.filter { $0.value > 0 }
  }
}
