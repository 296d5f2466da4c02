public import SharedRing

/// What a net front-end asks for.
public struct NetFrontConfiguration: Sendable {
  /// Queues to use, if the back-end offers as many.
  public var queueCount = 1
  /// How long the rings are looked at before sleeping.
  public var polling = PollingPolicy.standard

  public init() {}
}
