public import BlockEngine
public import BlockInterface
public import EventLoop
public import SharedRing

/// What a block back-end does at one moment: for `status`, `top` and metrics.
public struct BlockBackendStatus: Sendable {
  /// One queue of the connection.
  public struct Queue: Sendable {
    public var entryCount: Int
    /// Requests taken and not answered.
    public var inFlight: Int
    public var counters: BlkifQueueCounters
    /// Events, spurious ones, signals.
    public var events: LoopEventChannel.Counters
    /// What broke the ring.
    public var fault: RingFault?
  }

  public var geometry: BlockGeometry
  public var features: BlockFeatures
  /// Both ends want persistent grants.
  public var usesPersistentGrants = false
  /// Empty while no front-end is connected.
  public var queues: [Queue] = []
  public var engine: BlockStatistics
  /// Pages of the front-end that are mapped now: rings, requests under way, persistent grants.
  public var mappedPageCount = 0
  public var persistentGrantCount = 0
  /// What a user should know about how the disk was opened.
  public var notices: [String]
}
