public import EventLoop
import LinuxSystem
public import PVDriver
import SharedRing
import XenInterface

/// The ring half of a block front-end: the queues of one device on one loop.
///
/// Operations go in with ``submit(_:)`` and come back through ``BlockFrontOperation/completed(_:)``. Large ones are split
/// into ring requests, small ones of one turn are published together; what finds no room waits in order. Without a
/// connection operations wait for one, for a bounded time. Loop thread only.
public final class BlockFrontPlane: LoopSource, FrontPlane {
  /// The most one operation may move, in bytes; issuers split what is larger. Below a quarter of any pool, so that one
  /// operation cannot block the others.
  public static let maximumOperationByteCount = 1 << 20

  public let configuration: BlockFrontConfiguration
  public let reporter: BlockFrontReporter

  var phase = FrontPhase.disconnected
  var disconnectedSince: UInt64
  var connection: BlockFrontConnection?
  /// The device; nil before the first connection. Kept while disconnected.
  public internal(set) var geometry: BlockFrontGeometry?

  /// Operations with requests in flight, or with more to send; the index is their requests' tag.
  var slots: [BlockFrontOperation?] = []
  var freeSlots: [Int32] = []
  /// Operations with something left to send.
  var dispatchQueue = OperationList()
  var bufferQueue = OperationList()
  /// Operations that ended without a response of the back-end, to be completed in turn.
  var finished = OperationList()
  var nextQueue = 0
  var requestsInFlight = 0
  var poller: AdaptivePoller
  var quiesced: (() -> Void)?
  /// Called when the back-end broke a rule: the store half then ends the connection.
  public var onFault: ((BlockFrontFault) -> Void)?
  var deadlineTimer: LoopTimer?
  public internal(set) var counters = Counters()

  /// What has been done since the plane was made.
  public struct Counters: Sendable, Equatable {
    /// Ring requests answered.
    public var requests: UInt64 = 0
    public var failedRequests: UInt64 = 0
    public var indirectRequests: UInt64 = 0
    /// Pages that a back-end had not let go of when it was disconnected.
    public var quarantinedPages: UInt64 = 0
    public init() {}
  }

  public init(configuration: BlockFrontConfiguration, reporter: BlockFrontReporter) {
    precondition(configuration.bufferByteCount >= 4 * Self.maximumOperationByteCount, "too little memory for data in flight")
    self.configuration = configuration
    self.reporter = reporter
    poller = AdaptivePoller(configuration.polling)
    disconnectedSince = MonotonicClock.nowNanoseconds
  }

  /// The connection there is, prepared or in use.
  public var currentConnection: BlockFrontConnection? { connection }

  /// Operations are sent; otherwise they wait.
  public var isConnected: Bool { phase == .connected }

  /// Ring requests that are not answered.
  public var requestsInFlightCount: Int { requestsInFlight }

  /// Operations that wait for room, a buffer or a back-end.
  public var waitingCount: Int { dispatchQueue.count + bufferQueue.count }

  // MARK: Turns

  public override func service() -> Service {
    var worked = completeFinished()
    if let connection, phase == .connected || phase == .quiescing {
      if reap(connection) { worked = true }
      if !bufferQueue.isEmpty, serveBufferQueue() { worked = true }
      if phase == .connected { dispatchWaiting() }
      if phase != .severed, publish(connection) { worked = true }
    }
    if completeFinished() { worked = true }
    return worked ? .worked : .idle
  }

  public override func hasWork() -> Bool {
    guard let connection, phase == .connected || phase == .quiescing else { return !finished.isEmpty }
    for queue in connection.queues where queue.hasResponses { return true }
    return !finished.isEmpty
  }

  public override func wantsPolling(now: UInt64) -> Bool {
    requestsInFlight > 0 && phase != .severed && poller.shouldKeepPolling(now: now)
  }

  public override func prepareToSleep() -> Bool {
    guard let connection, phase == .connected || phase == .quiescing else { return !finished.isEmpty }
    var pending = !finished.isEmpty
    for queue in connection.queues {
      // Another source may have submitted after our turn.
      if queue.hasUnpublishedRequests { pending = true }
      do {
        if try queue.armEvent() { pending = true }
      } catch {
        sever(.broken(error))
        return true
      }
    }
    return pending
  }

  private func publish(_ connection: BlockFrontConnection) -> Bool {
    var published = false
    for (index, queue) in connection.queues.enumerated() {
      if queue.hasUnpublishedRequests { published = true }
      if queue.flushRequests() { connection.loopChannels[index].signal() }
    }
    return published
  }
}
