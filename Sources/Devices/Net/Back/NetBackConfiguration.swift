public import SharedRing

/// How a net back-end serves.
public struct NetBackConfiguration: Sendable {
  /// Most queues that are offered (`multi-queue-max-queues`).
  public var maximumQueueCount = 4
  /// How long the rings are looked at before sleeping.
  public var polling = PollingPolicy.standard

  public init() {}
}
