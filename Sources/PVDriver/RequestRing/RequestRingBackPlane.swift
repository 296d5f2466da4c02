import EventLoop
import Logging
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// The ring half of a connected back-end whose requests an engine does: one ring on the device's loop.
///
/// A turn takes up to ``budget`` requests, hands them to the engine, publishes the responses that came meanwhile once, and
/// signals once. Lives from connect to disconnect; every call on the loop's thread.
final class RequestRingBackPlane<Engine: RequestRingEngine>: RequestRingAnswerSink<Engine.Interface>, BackPlane {
  typealias Request = Engine.Interface.Request
  typealias Response = Engine.Interface.Response

  /// A request that was taken and not answered.
  private struct Row {
    var identifier: UInt64 = 0
    var isTaken = false
  }

  /// What changes with each request. Apart from the object, so that no access is checked for overlapping others.
  private struct State {
    var poller: AdaptivePoller
    var workedSincePoll = false
    /// Until when the ring is looked at although the poller has given up: a front-end's next requests come within this of responses.
    var lookUntil: UInt64 = 0
    var counters = RequestRingCounters()
    var freeRows: [Int32]
    var hasUnpublished = false
    var sawRequests = false
    var isStopping = false
    var fault: RequestCarrierFault?
    var limiter = LogLimiter()
  }

  /// Requests handled in one turn.
  private static var budget: Int { 64 }
  private static var turnaroundNanoseconds: UInt64 { 5_000 }

  let engine: Engine
  private let version: UInt32
  private let carrier: RequestBackCarrier<Request, Response>
  private let pages: GrantedPages
  private let tracer: RequestTracer
  private let rows: FixedTable<Row>
  private let state: FixedCell<State>
  private var channel: LoopEventChannel?
  private let limit: RequestLimit
  private let logger: Logger
  private let onFault: (RequestCarrierFault) -> Void
  private var stopping: ((_ leakedPageCount: Int) -> Void)?

  /// Maps the front-end's ring and begins to serve it. On failure nothing stays mapped.
  /// - Parameter onFault: told once when the front-end broke its ring; on the loop.
  init(
    engine: Engine, setup: BackendSetup, limit: RequestLimit, grants: ForeignGrants, transport: DriverTransport, channel: EventChannel,
    onFault: @escaping (RequestCarrierFault) -> Void
  ) throws(RequestRingConnectError) {
    self.engine = engine
    self.limit = limit
    logger = setup.logger
    self.onFault = onFault
    version = transport.version
    let mapping: GrantMapping
    do throws(GrantError) { mapping = try grants.mapContiguously(transport.ringReferences) } catch { throw .ringNotMapped(error) }
    do throws(RingFault) {
      carrier = try .attach(mapping, Engine.Interface.carrier, entryByteCount: transport.entryByteCount)
    } catch {
      throw .ringBroken(error)
    }
    // A ring never lets out more requests without a response than it has entries.
    let count = carrier.entryCount
    pages = GrantedPages(grants: grants, rowCount: count, pagesPerRow: Request.dataPageCapacity)
    rows = FixedTable(repeating: Row(), count: count)
    tracer = RequestTracer(setup.trace, rowCount: count, queueCount: 1, fieldCount: Request.traceFields.count)
    state = FixedCell(State(poller: AdaptivePoller(setup.polling), freeRows: (0..<Int32(count)).reversed()))
    super.init()
    setup.loop.attach(self)
    // Events are looked at in turn: the loop serves this source after it has taken the completion that the event is.
    self.channel = LoopEventChannel(channel, loop: setup.loop) {}
  }

  // MARK: Turns

  override func service() -> Service {
    var result = Service.idle
    tracer.refresh()
    if tracer.isOn { tracer.noticed(events: channel?.counters.events ?? 0, queue: 0) }
    if !state.value.isStopping, state.value.fault == nil { result = takeRequests() }
    if state.value.hasUnpublished {
      publish()
      if case .idle = result { result = .worked }
    }
    if case .idle = result { return .idle }
    state.value.workedSincePoll = true
    return result
  }

  private func takeRequests() -> Service {
    for count in 0..<Self.budget {
      if limit.isOn, carrier.hasRequests(), limit.holdsBack(on: loop) {
        state.value.counters.heldBack &+= 1
        return count > 0 ? .worked : .idle
      }
      do throws(RequestCarrierFault) {
        guard let request = try carrier.takeRequest() else { return count > 0 ? .worked : .idle }
        state.value.sawRequests = true
        state.value.counters.requests &+= 1
        start(request)
      } catch {
        giveUp(error)
        return .worked
      }
    }
    return .moreToDo
  }

  /// Checks a copied request, maps its data, and gives it to the engine.
  private func start(_ copied: Request) {
    var request = copied
    request.forget(newerThan: version)
    guard let row = state.value.freeRows.popLast().map(Int.init) else { preconditionFailure("more requests than the ring has entries") }
    rows[row] = Row(identifier: request.identifier, isTaken: true)
    state.value.counters.inFlight &+= 1
    let (offset, length) = Request.dataPageCapacity > 0 ? (Int(request.dataOffset), Int(request.dataLength)) : (0, 0)
    // What is refused counts, too.
    if limit.isOn { limit.spend(byteCount: min(length, Engine.Interface.maximumDataByteCount)) }
    guard offset < pageByteCount, offset + length <= Engine.Interface.maximumDataByteCount || length == 0 else {
      return reject(row, .invalid, "its data has \(length) bytes at \(offset); at most \(Engine.Interface.maximumDataByteCount) are possible")
    }
    if tracer.isOn {
      tracer.begin(row, queue: 0, operation: 0, byteCount: UInt64(length), position: 0)
      for index in 0..<tracer.fieldCount { tracer.setField(index, request.traceValue(at: index), row) }
    }
    let pageCount = length == 0 ? 0 : (offset + length + pageByteCount - 1) / pageByteCount
    do throws(GrantError) {
      try pages.map(row, pageCount: pageCount, writable: Engine.Interface.dataDirection.isWritable) { request.dataReference(at: $0) }
    } catch {
      return reject(row, .badGrant, error.description)
    }
    state.value.counters.bytes &+= UInt64(length)
    let generation = pages.generation(of: row)
    if tracer.isOn {
      if pageCount > 0 { tracer.mark(.map, row) }
      tracer.mark(.submit, row)
    }
    engine.begin(
      request, GrantedBytes(byteCount: length, pages: pages, row: row, generation: generation, offset: offset),
      RequestRingAnswer(sink: self, row: row, generation: generation))
  }

  private func reject(_ row: Int, _ result: RequestRingResult, _ reason: String) {
    state.value.counters.rejections &+= 1
    if let heldBack = state.value.limiter.admit() {
      logger.warning("request refused: \(reason)", metadata: heldBack > 0 ? ["held-back": "\(heldBack)"] : nil)
    }
    finish(row, Response(result))
  }

  override func answer(_ row: Int, _ generation: UInt32, _ response: Response) {
    precondition(pages.generation(of: row) == generation && rows[row].isTaken, "a request was answered twice")
    if tracer.isOn { tracer.mark(.complete, row) }
    if response.status != RequestRingResult.okay.rawValue { state.value.counters.failures &+= 1 }
    finish(row, response)
    if state.value.isStopping { finishStopping() }
  }

  /// Gives the request's pages back, then puts its response: the front-end may use them again as soon as it sees that.
  private func finish(_ row: Int, _ given: Response) {
    var response = given
    response.identifier = rows[row].identifier
    response.forget(newerThan: version)
    let written = pages.release(row)
    if tracer.isOn, Request.dataPageCapacity > 0 { tracer.mark(.unmap, row) }
    if Engine.Interface.dataDirection.isWritable { response.dataLength = UInt32(written) }
    rows[row].isTaken = false
    state.value.freeRows.append(Int32(row))
    state.value.counters.inFlight &-= 1
    guard state.value.fault == nil else { return }
    carrier.putResponse(response)
    state.value.hasUnpublished = true
    if tracer.isOn { tracer.end(row, status: Int(response.status)) }
  }

  private func publish() {
    state.value.hasUnpublished = false
    let isWanted = state.value.fault == nil && carrier.publishResponses()
    if isWanted { channel?.signal() }
    if tracer.isOn { tracer.published(queue: 0, isSignalled: isWanted) }
  }

  /// The front-end has done what no front-end can: its ring is not touched any more, and whoever runs the device is told.
  private func giveUp(_ fault: RequestCarrierFault) {
    state.value.fault = fault
    logger.error("the ring is broken: \(fault)")
    onFault(fault)
  }

  override func hasWork() -> Bool {
    !state.value.isStopping && (state.value.hasUnpublished || (state.value.fault == nil && !limit.isWaiting && carrier.hasRequests()))
  }

  override func wantsPolling(now: UInt64) -> Bool {
    if state.value.workedSincePoll {
      state.value.workedSincePoll = false
      state.value.poller.workArrived(at: now)
      state.value.lookUntil = state.value.poller.policy == .never ? 0 : now &+ Self.turnaroundNanoseconds
    }
    return !state.value.isStopping && (state.value.poller.shouldKeepPolling(now: now) || now < state.value.lookUntil)
  }

  override func prepareToSleep() -> Bool {
    if state.value.hasUnpublished { return true }
    // Until a limit allows the next request there is nothing to ask for: the loop is called then.
    guard !state.value.isStopping, state.value.fault == nil, !limit.isWaiting else { return false }
    if channel?.isPending == true {
      channel?.rearm(spurious: !state.value.sawRequests)
      state.value.sawRequests = false
    }
    do throws(RequestCarrierFault) { return try carrier.armRequestEvent() } catch { giveUp(error) }
    return false
  }

  // MARK: The end

  /// Takes no more requests, waits for those under way, and gives everything back; then calls `done` with the number of
  /// pages that are still mapped, which is zero unless there is a mistake in this program.
  func stop(_ done: @escaping (_ leakedPageCount: Int) -> Void) {
    precondition(stopping == nil, "stopped twice")
    stopping = done
    state.value.isStopping = true
    finishStopping()
  }

  private func finishStopping() {
    guard state.value.counters.inFlight == 0, let done = stopping, let channel else { return }
    self.channel = nil
    if state.value.hasUnpublished { state.value.hasUnpublished = false; if carrier.publishResponses() { channel.signal() } }
    channel.close { [self] in
      carrier.unmap()
      loop?.detach(self)
      done(pages.grants.mappedPageCount)
    }
  }

  /// What it has done since it was connected.
  var counters: RequestRingCounters {
    var counters = state.value.counters
    counters.events = channel?.counters ?? LoopEventChannel.Counters()
    counters.mappedPageCount = pages.grants.mappedPageCount
    counters.fault = state.value.fault
    return counters
  }
}
