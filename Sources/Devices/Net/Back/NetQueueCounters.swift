/// What one queue has done since it was connected. Every frame that does not arrive is counted by its reason.
public struct NetQueueCounters: Sendable, Equatable {
  /// Frames taken from the guest, whatever became of them.
  public var transmittedFrames: UInt64 = 0
  /// Their bytes, without those that were refused.
  public var transmittedBytes: UInt64 = 0
  /// Frames that broke a rule and were answered with an error.
  public var transmitErrors = TransmitErrors()
  /// Frames of the guest that what is behind the port did not take.
  public var transmitDrops: UInt64 = 0
  /// Frames copied to the guest.
  public var receivedFrames: UInt64 = 0
  public var receivedBytes: UInt64 = 0
  public var receiveDrops = ReceiveDrops()

  /// By the rule that was broken.
  public struct TransmitErrors: Sendable, Equatable {
    /// Too many pieces, pieces larger than the frame, less than an Ethernet header.
    public var malformed: UInt64 = 0
    /// A page that could not be mapped.
    public var grant: UInt64 = 0
    /// An offload that the headers do not allow.
    public var headers: UInt64 = 0
    public init() {}
    public var total: UInt64 { malformed + grant + headers }
  }

  /// By reason.
  public struct ReceiveDrops: Sendable, Equatable {
    /// Larger than the guest takes, or with an offload that it does not take.
    public var unacceptable: UInt64 = 0
    /// A multicast address that the guest did not ask for.
    public var filtered: UInt64 = 0
    /// What is kept for a guest without buffers was full.
    public var noRoom: UInt64 = 0
    /// Kept for too long.
    public var expired: UInt64 = 0
    /// A page that could not be mapped.
    public var grant: UInt64 = 0
    /// The front-end had broken the queue.
    public var broken: UInt64 = 0
    public init() {}
    public var total: UInt64 { unacceptable + filtered + noRoom + expired + grant + broken }
  }

  public init() {}

  mutating func add(_ other: NetQueueCounters) {
    transmittedFrames &+= other.transmittedFrames
    transmittedBytes &+= other.transmittedBytes
    transmitErrors.malformed &+= other.transmitErrors.malformed
    transmitErrors.grant &+= other.transmitErrors.grant
    transmitErrors.headers &+= other.transmitErrors.headers
    transmitDrops &+= other.transmitDrops
    receivedFrames &+= other.receivedFrames
    receivedBytes &+= other.receivedBytes
    receiveDrops.unacceptable &+= other.receiveDrops.unacceptable
    receiveDrops.filtered &+= other.receiveDrops.filtered
    receiveDrops.noRoom &+= other.receiveDrops.noRoom
    receiveDrops.expired &+= other.receiveDrops.expired
    receiveDrops.grant &+= other.receiveDrops.grant
    receiveDrops.broken &+= other.receiveDrops.broken
  }
}
