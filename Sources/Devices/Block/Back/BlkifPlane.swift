import BlockEngine
import BlockInterface
import EventLoop
import Logging
import PVDriver
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// The ring half of a connected block back-end: all queues of one device, served together on the device's loop.
///
/// A turn takes up to ``budget`` requests from each queue, hands them to the engine, publishes all responses that came
/// meanwhile once, and signals once. Lives from connect to disconnect; every call on the loop's thread.
final class BlkifPlane: LoopSource, BackPlane {
  struct Configuration {
    var features: BlockFeatures
    var polling = PollingPolicy.standard
    /// Pages that may stay mapped between requests, over all queues; used when both ends want persistent grants.
    var persistentGrantLimit = 1056
    /// Memory for tables of large requests in bytes.
    var largeTableByteCount = 1 << 20
    var frontendFamily = FrontendFamily.linux
    /// Where requests are told of while somebody traces the device.
    var trace: TraceFile?
  }

  /// A request between its ring and the engine, at the engine's index for it.
  struct Row {
    var identifier: UInt64 = 0
    var queue: Int32 = 0
    var pageCount: Int32 = 0
    /// What the response says: for an indirect request the wrapped operation (`make_response`, Linux).
    var operation: UInt8 = 0
  }

  /// What changes with each request. Apart from the object, so that no access is checked for overlapping others.
  private struct State {
    var poller: PlanePoller
    var inFlightCount = 0
    var firstQueue = 0
    var isStopping = false
  }

  /// Requests that one queue may have handled in one turn.
  static let budget = 64

  let engine: BlockEngine
  let features: BlockFeatures
  /// From the front-end's units to those of 512 bytes.
  let requestShift: UInt64
  let segmentShift: Int
  let logger: Logger
  let isPersistent: Bool
  let onFault: (_ queue: Int, RingFault) -> Void
  private(set) var queues: [BlkifQueue] = []
  let rows: FixedTable<Row>
  /// Segments of the request that is being handled, copied once.
  let segments: FixedTable<BlkifSegment>
  let pages: HeldPages
  let tracer: RequestTracer
  private let state: FixedCell<State>
  var limiter = LogLimiter()
  private var stopping: ((_ leakedPageCount: Int) -> Void)?
  private var client: PlaneClient?

  /// Maps the front-end's rings and begins to serve them. `channels` are bound to the ports of `transport`'s queues.
  /// On failure nothing stays mapped.
  /// - Parameter onFault: told once a queue when the front-end broke its ring; on the loop.
  init(
    engine: BlockEngine, grants: ForeignGrants, transport: BlockTransport, channels: [EventChannel], configuration: Configuration,
    logger: Logger, onFault: @escaping (_ queue: Int, RingFault) -> Void
  ) throws(BlkifConnectError) {
    precondition(channels.count == transport.queues.count)
    guard let loop = engine.loop else { preconditionFailure("the engine has no loop") }
    guard engine.client == nil else { throw .alreadyConnected }
    self.engine = engine
    self.features = configuration.features
    requestShift = configuration.frontendFamily.requestShift(sectorByteCount: engine.geometry.sectorByteCount)
    segmentShift = configuration.frontendFamily.segmentShift(sectorByteCount: engine.geometry.sectorByteCount)
    self.logger = logger
    self.onFault = onFault
    isPersistent = transport.persistentGrants && configuration.features.persistentGrants

    var queues: [BlkifQueue] = []
    for (index, queue) in transport.queues.enumerated() {
      queues.append(BlkifQueue(index: index, ring: try Self.attach(queue, index, grants, transport.protocol)))
    }
    engine.resizePool(
      BlockEngine.Sizing(
        requestCount: queues.reduce(0) { $0 + $1.ring.entryCount },
        maximumVectorCount: max(BlkifLimits.segmentsPerRequest, configuration.features.maximumIndirectSegmentCount),
        largeTableByteCount: configuration.largeTableByteCount))
    rows = FixedTable(repeating: Row(), count: engine.requestCapacity)
    segments = FixedTable(
      repeating: BlkifSegment(), count: max(BlkifLimits.segmentsPerRequest, configuration.features.maximumIndirectSegmentCount))
    pages = HeldPages(
      grants: grants, capacity: engine.vectorCapacity, requestLimit: segments.count, persistentLimit: isPersistent ? configuration.persistentGrantLimit : 0)
    tracer = RequestTracer(configuration.trace, rowCount: engine.requestCapacity, queueCount: queues.count)
    state = FixedCell(State(poller: PlanePoller(configuration.polling, turnaroundNanoseconds: PlanePoller.turnaroundNanoseconds)))
    self.queues = queues
    super.init()
    loop.attach(self)
    let client = PlaneClient(self)
    self.client = client
    engine.client = client
    for (queue, channel) in zip(queues, channels) {
      // Events are looked at in turn: the loop serves this source after it has taken the completion that the event is.
      queue.channel = LoopEventChannel(channel, loop: loop) {}
    }
  }

  private static func attach(
    _ queue: BlockTransport.Queue, _ index: Int, _ grants: ForeignGrants, _ layout: BlkifProtocol
  ) throws(BlkifConnectError) -> AnyBlkifRing {
    let mapping: GrantMapping
    do throws(GrantError) { mapping = try grants.mapContiguously(queue.ringReferences) } catch { throw .ringNotMapped(queue: index, error) }
    do throws(RingFault) { return try AnyBlkifRing(mapping, layout: layout) } catch { throw .ringBroken(queue: index, error) }
  }

  // MARK: Turns

  override func service() -> Service {
    var worked = false
    var more = false
    tracer.refresh()
    if tracer.isOn { for queue in queues { tracer.noticed(events: queue.channel?.counters.events ?? 0, queue: queue.index) } }
    if !state.value.isStopping, !queues.isEmpty {
      // The one after the last that had a turn goes first, so that none lives on what the others leave of the engine.
      let first = state.value.firstQueue
      for offset in queues.indices {
        let position = first + offset < queues.count ? first + offset : first + offset - queues.count
        let done = take(from: queues[position])
        if done != .idle { state.value.firstQueue = position + 1 < queues.count ? position + 1 : 0 }
        switch done {
        case .idle: break
        case .worked: worked = true
        case .moreToDo: more = true
        }
      }
    }
    for queue in queues where queue.state.value.hasUnpublished {
      worked = true
      publish(queue)
    }
    if worked || more { state.value.poller.turnWorked() }
    return more ? .moreToDo : worked ? .worked : .idle
  }

  /// Handles what the queue has, within the budget.
  private func take(from queue: BlkifQueue) -> Service {
    if queue.state.value.fault != nil { return .idle }
    var count = 0
    if let request = queue.state.value.deferred {
      guard handle(request, of: queue) else { return .idle }
      queue.state.value.deferred = nil
      count = 1
    }
    while count < Self.budget {
      let request: BlkifRequest
      do throws(RingFault) {
        guard let taken = try queue.ring.takeRequest() else { return count > 0 ? .worked : .idle }
        request = taken
      } catch {
        giveUp(queue, error)
        return .worked
      }
      count += 1
      queue.state.value.counters.requests &+= 1
      queue.state.value.sawRequests = true
      guard handle(request, of: queue) else {
        queue.state.value.counters.backPressure &+= 1
        queue.state.value.deferred = request
        return .worked
      }
    }
    return .moreToDo
  }

  private func publish(_ queue: BlkifQueue) {
    queue.state.value.hasUnpublished = false
    let isWanted = queue.state.value.fault == nil && queue.ring.publishResponses()
    if isWanted { queue.channel?.signal() }
    if tracer.isOn { tracer.published(queue: queue.index, isSignalled: isWanted) }
  }

  /// The front-end has done what no front-end can: its ring is not touched any more, and whoever runs the device is told.
  private func giveUp(_ queue: BlkifQueue, _ fault: RingFault) {
    queue.state.value.fault = fault
    queue.state.value.deferred = nil
    logger.error("queue \(queue.index) is broken: \(fault)")
    onFault(queue.index, fault)
  }

  override func hasWork() -> Bool {
    guard !state.value.isStopping else { return false }
    for queue in queues where queue.canTake && queue.ring.hasRequests() { return true }
    return false
  }

  override func wantsPolling(now: UInt64) -> Bool {
    state.value.poller.wantsPolling(now: now) && !state.value.isStopping
  }

  override func prepareToSleep() -> Bool {
    guard !state.value.isStopping else { return false }
    var pending = false
    for queue in queues where queue.canTake {
      if queue.channel?.isPending == true {
        queue.channel?.rearm(spurious: !queue.state.value.sawRequests)
        queue.state.value.sawRequests = false
      }
      do throws(RingFault) {
        if try queue.ring.armRequestEvent() { pending = true }
      } catch {
        giveUp(queue, error)
      }
    }
    return pending
  }

  // MARK: Requests that the engine has

  func began() { state.value.inFlightCount += 1 }

  /// The engine has done request `index`: its pages go back before its answer goes out.
  func completed(_ index: Int, _ status: BlockStatus) {
    let row = rows[index]
    if tracer.isOn { tracer.mark(.complete, index) }
    if row.pageCount > 0 { pages.release(first: engine.firstVector(of: index), count: Int(row.pageCount)) }
    if tracer.isOn, row.pageCount > 0 { tracer.mark(.unmap, index) }
    state.value.inFlightCount -= 1
    answer(queues[Int(row.queue)], identifier: row.identifier, operation: row.operation, status)
    if tracer.isOn { tracer.end(index, status: Int(status.rawValue)) }
    if state.value.isStopping { finishStopping() }
  }

  func answer(_ queue: BlkifQueue, identifier: UInt64, operation: UInt8, _ status: BlockStatus) {
    guard queue.state.value.fault == nil else { return }
    var response = BlkifResponse()
    response.identifier = identifier
    response.operation = operation
    response.status = status.blkif.rawValue
    queue.ring.putResponse(response)
    queue.state.value.counters.responses &+= 1
    queue.state.value.hasUnpublished = true
  }

  // MARK: The end

  func stop(_ done: @escaping (_ leakedPageCount: Int) -> Void) {
    precondition(stopping == nil, "stopped twice")
    stopping = done
    state.value.isStopping = true
    for queue in queues { queue.state.value.deferred = nil }
    finishStopping()
  }

  private func finishStopping() {
    guard state.value.inFlightCount == 0, client != nil else { return }
    client = nil
    for queue in queues where queue.state.value.hasUnpublished { publish(queue) }
    queues.compactMap(\.channel).close { [self] in finishClosed() }
  }

  private func finishClosed() {
    guard let done = stopping else { return }
    pages.releasePersistent()
    for queue in queues { queue.ring.unmap() }
    queues.removeAll()
    engine.client = nil
    engine.forgetBuffers()
    loop?.detach(self)
    stopping = { _ in }
    done(pages.grants.mappedPageCount)
  }
}

/// Hears the engine for a plane, which has another base class already.
private final class PlaneClient: BlockEngineClient {
  private unowned let plane: BlkifPlane
  init(_ plane: BlkifPlane) { self.plane = plane }
  override func completed(tag: UInt64, status: BlockStatus) { plane.completed(Int(tag), status) }
}
