public import EventLoop
public import NetEngine
public import NetInterface
import SharedMemory

/// What a net back-end does at one moment: for `status`, `top` and metrics.
public struct NetBackendStatus: Sendable {
  /// One queue of the connection.
  public struct Queue: Sendable {
    /// Frames of the guest that the port has.
    public var inFlight: Int
    /// Frames that are kept for a guest without buffers.
    public var waiting: Int
    public var counters: NetQueueCounters
    /// Events, spurious ones, signals: of one channel for both rings, or of one each.
    public var events: [LoopEventChannel.Counters]
    /// What broke a ring.
    public var fault: NetBackFault?
  }

  public var features: NetFeatures
  /// What is behind the port is up.
  public var hasCarrier: Bool
  /// All connections together.
  public var total: NetQueueCounters
  /// Front-ends that connected so far, the one that is connected now included.
  public var connectionCount = 0
  public var rate: RateLimit?
  /// What went through the port; nil for one that does not count.
  public var port: NetPortTraffic?
  /// What the front-end that is connected wants; nil while there is none.
  public var acceptance: NetAcceptance?
  /// Empty while no front-end is connected.
  public var queues: [Queue] = []
  /// Pages of the front-end that are mapped now.
  public var mappedPageCount = 0

  public init(features: NetFeatures, hasCarrier: Bool, total: NetQueueCounters) {
    self.features = features
    self.hasCarrier = hasCarrier
    self.total = total
  }
}

extension NetBackendStatus.Queue {
  init(_ queue: NetBackQueue) {
    self.init(
      inFlight: queue.packets.inFlightCount, waiting: queue.backlog.value.count, counters: queue.counters,
      events: queue.channels.map(\.counters), fault: queue.state.value.fault)
  }
}
