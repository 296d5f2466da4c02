public import SharedRing

/// How a net back-end serves.
public struct NetBackConfiguration: Sendable {
  /// Most queues that are offered (`multi-queue-max-queues`).
  public var maximumQueueCount = 4
  /// How long the rings are looked at before sleeping.
  public var polling = PollingPolicy.standard
  /// How long a frame is kept for a guest without buffers, in nanoseconds (`rx_drain_timeout_msecs` of Linux: 10 s).
  public var drainNanoseconds: UInt64 = 10_000_000_000
  /// After how long without buffers a guest counts as stalled, and its link as down (`rx_stall_timeout_msecs` of Linux: 60 s).
  public var stallNanoseconds: UInt64 = 60_000_000_000
  /// Whoever runs the back-end watches the front-end's key `request-multicast-control` and tells
  /// ``NetBackendDriver/setMulticastControl(_:)`` of its changes (`feature-dynamic-multicast-control`).
  public var followsMulticastControl = false

  public init() {}
}
