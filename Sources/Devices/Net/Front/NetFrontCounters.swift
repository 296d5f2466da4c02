/// What a front-end has sent and received since it was made, with every frame that was lost by its reason.
public struct NetFrontCounters: Sendable, Equatable {
  public var transmittedFrames: UInt64 = 0
  public var transmittedBytes: UInt64 = 0
  /// Frames of the above that were sent from where they had been read to, without a copy.
  public var transmittedInPlace: UInt64 = 0
  /// Slots that the back-end answered with an error, or that it dropped.
  public var transmitFailures: UInt64 = 0
  /// Frames that could not be sent as they were: too large, too small, an offload that the back-end does not take.
  public var transmitRefusals: UInt64 = 0
  public var receivedFrames: UInt64 = 0
  public var receivedBytes: UInt64 = 0
  /// Chains that broke a rule, or that the back-end marked as failed.
  public var receiveRejections: UInt64 = 0
  /// Frames that whoever uses the front-end did not take.
  public var receiveDrops: UInt64 = 0
  /// Pages that a back-end had not let go of when it was disconnected.
  public var quarantinedPages: UInt64 = 0

  public init() {}
}
