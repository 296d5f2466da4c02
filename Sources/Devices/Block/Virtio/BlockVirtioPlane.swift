import BlockEngine
import EventLoop
import Logging
import PVDriver
import SharedMemory
import SharedRing
import VhostUser
import VirtioInterface
import VirtioRing

/// The ring half of a disk that a VMM uses: all its queues, served together on the device's loop.
///
/// A turn takes up to ``budget`` requests from each queue, hands them to the engine, shows all answers that came meanwhile once, and calls
/// the driver once. Loop thread only.
final class BlockVirtioPlane: LoopSource {
  /// A request between its queue and the engine, at the engine's index for it.
  struct Row {
    var status = GuestBuffer(address: 0, byteCount: 1, region: 0)
    var writtenByteCount: UInt32 = 0
    var queue: Int32 = 0
    var chain: UInt16 = 0
  }

  /// What changes with each request. Apart from the object, so that no access is checked for overlapping others.
  private struct State {
    var poller: PlanePoller
    /// There are ``bounces``.
    var hasBounces = false
    var stoppingCount = 0
    /// The queue that goes first: the one after the last that had a turn, so that none lives on what the others leave of the engine.
    var firstQueue = 0
  }

  /// Requests that one queue may have handled in one turn.
  static let budget = 64
  /// Answers that are shown together at most: both sides work at the same time then.
  private static let publishBatch = 16

  let engine: BlockEngine
  let identity: [UInt8]
  let logger: Logger
  var memory = GuestMemory()
  let rows: FixedTable<Row>
  let tracer: RequestTracer
  var limiter = LogLimiter()
  /// By number; empty while not running.
  private let queues: ObjectSlots<BlockVirtioQueue>
  private let state: FixedCell<State>
  private var client: PlaneClient?
  /// Requests whose data goes through memory of ours, by the engine's index.
  var bounces: [Int: BounceBuffer] = [:] { didSet { state.value.hasBounces = !bounces.isEmpty } }

  init(engine: BlockEngine, queueCount: Int, identity: [UInt8], polling: PollingPolicy, trace: TraceFile?, logger: Logger) {
    self.engine = engine
    self.identity = identity
    self.logger = logger
    queues = ObjectSlots(count: queueCount)
    rows = FixedTable(repeating: Row(), count: engine.requestCapacity)
    tracer = RequestTracer(trace, rowCount: engine.requestCapacity, queueCount: queueCount)
    state = FixedCell(State(poller: PlanePoller(polling, turnaroundNanoseconds: PlanePoller.turnaroundNanoseconds)))
    super.init()
    let client = PlaneClient(self)
    self.client = client
    engine.client = client
  }

  // MARK: Queues

  func started(_ queue: VhostUserQueue) { queues[queue.index] = BlockVirtioQueue(queue) }

  func stop(_ queue: VhostUserQueue, done: @escaping () -> Void) {
    guard let served = queues[queue.index], served.queue === queue else { return done() }
    served.stopping = done
    state.value.stoppingCount += 1
    finishStopping(served)
  }

  /// A queue that is to stop has when nothing of it is under way.
  private func finishStopping(_ served: BlockVirtioQueue) {
    guard served.inFlightCount == 0, served.deferred == nil, let done = served.stopping else { return }
    served.stopping = nil
    state.value.stoppingCount -= 1
    queues[served.queue.index] = nil
    done()
  }

  func close() {
    precondition((0..<queues.count).allSatisfy { queues[$0] == nil }, "closed with queues running")
    engine.client = nil
    // The client holds this plane.
    client = nil
    loop?.detach(self)
  }

  var status: [BlockVirtioQueueStatus] {
    (0..<queues.count).compactMap { index in
      guard let served = queues[index] else { return nil }
      let counters = served.queue.events?.counters
      return BlockVirtioQueueStatus(
        entryCount: served.queue.ring.value.entryCount, inFlight: served.inFlightCount, requests: served.state.value.requests, rejections: served.state.value.rejections,
        events: counters?.events ?? 0, spuriousEvents: counters?.spuriousEvents ?? 0, signals: counters?.signals ?? 0, fault: served.queue.fault)
    }
  }

  // MARK: Turns

  override func service() -> Service {
    var worked = false
    var more = false
    tracer.refresh()
    if tracer.isOn { noticeEvents() }
    let first = state.value.firstQueue
    for offset in 0..<queues.count {
      let position = first + offset < queues.count ? first + offset : first + offset - queues.count
      let done = queues.withObject(position) { served in
        let done = take(from: served)
        if served.unpublishedCount > 0 {
          publish(served)
          return done == .moreToDo ? done : .worked
        }
        return done
      }
      switch done {
      case .idle, nil: break
      case .worked: worked = true
      case .moreToDo: more = true
      }
      if done != .idle, done != nil { state.value.firstQueue = position + 1 < queues.count ? position + 1 : 0 }
      if state.value.stoppingCount > 0 { stopWhatIsDone(position) }
    }
    if worked || more { state.value.poller.turnWorked() }
    return more ? .moreToDo : worked ? .worked : .idle
  }

  @inline(never) private func noticeEvents() {
    for position in 0..<queues.count {
      if let queue = queues[position]?.queue { tracer.noticed(events: queue.events?.counters.events ?? 0, queue: position) }
    }
  }

  /// Queues that are to stop, looked for only when there are some.
  private func stopWhatIsDone(_ position: Int) {
    if let served = queues[position], served.stopping != nil { finishStopping(served) }
  }

  /// Handles what the queue has, within the budget.
  private func take(from served: BlockVirtioQueue) -> Service {
    if served.queue.isBroken {
      // What was put off belongs to a ring that is not touched any more.
      served.deferred = nil
      return .idle
    }
    var count = 0
    if let chain = served.deferred {
      guard handle(chain, of: served) else { return .idle }
      served.deferred = nil
      count = 1
    }
    if served.state.value.isStopping { return count > 0 ? .worked : .idle }
    while count < Self.budget {
      let chain: DeviceQueue.Chain
      do throws(VirtqueueFault) {
        guard let taken = try served.queue.ring.value.take() else { return count > 0 ? .worked : .idle }
        chain = taken
      } catch {
        served.queue.giveUp(error)
        return .worked
      }
      count += 1
      served.state.value.requests &+= 1
      served.sawChains = true
      guard handle(chain, of: served) else {
        served.deferred = chain
        return .worked
      }
      if served.unpublishedCount >= Self.publishBatch { publish(served) }
    }
    return .moreToDo
  }

  private func publish(_ served: BlockVirtioQueue) {
    served.unpublishedCount = 0
    let isSignalled = served.queue.publish()
    if tracer.isOn { tracer.published(queue: served.queue.index, isSignalled: isSignalled) }
  }

  override func hasWork() -> Bool {
    for position in 0..<queues.count {
      if queues.withObject(position, { $0.canTake && $0.queue.ring.value.hasChains() }) == true { return true }
    }
    return false
  }

  override func wantsPolling(now: UInt64) -> Bool { state.value.poller.wantsPolling(now: now) }

  override func prepareToSleep() -> Bool {
    var pending = false
    for position in 0..<queues.count {
      guard let served = queues[position], served.canTake else { continue }
      if served.queue.armKick(sawChains: served.sawChains) { pending = true }
      served.sawChains = false
    }
    return pending
  }

  // MARK: Requests that the engine has

  /// The engine has done request `index`.
  fileprivate func completed(_ index: Int, _ status: BlockStatus) {
    let row = rows[index]
    if tracer.isOn { tracer.mark(.complete, index) }
    let answered: Void? = queues.withObject(Int(row.queue)) { served in
      if state.value.hasBounces || served.memory.dirtyLog.isActive { finishAfterwork(index, row, status) }
      served.inFlightCount -= 1
      answer(served, row, status.virtio)
    }
    precondition(answered != nil, "a request of a queue that has stopped")
    if tracer.isOn { tracer.end(index, status: Int(status.rawValue)) }
  }

  /// Gives the guest what was read for it elsewhere, and marks what was read into its memory: whether or not a migration had begun when
  /// the request did.
  @inline(never) private func finishAfterwork(_ index: Int, _ row: Row, _ status: BlockStatus) {
    if let bounce = bounces.removeValue(forKey: index) {
      if status == .okay { bounce.spill(to: memory) }
    } else if row.writtenByteCount > 1 {
      engine.forEachVector(of: index) { memory.markWritten($0) }
    }
  }

  /// Answers a chain. A queue that broke meanwhile is not touched.
  @inline(__always) func answer(_ served: BlockVirtioQueue, _ row: Row, _ status: VirtioBlockStatus) {
    guard !served.queue.isBroken else { return }
    let memory = served.memory
    memory.store8(status.rawValue, to: row.status, at: row.status.byteCount - 1)
    if memory.dirtyLog.isActive { memory.markWritten(row.status) }
    served.queue.ring.value.put(row.chain, writtenByteCount: status == .okay ? row.writtenByteCount : 1)
    served.unpublishedCount += 1
  }
}

/// A queue as the plane serves it.
final class BlockVirtioQueue {
  /// What changes with each request. Apart from the object, so that no access is checked for overlapping others.
  struct State {
    /// A chain that was taken when the engine was full.
    var deferred: DeviceQueue.Chain?
    var inFlightCount = 0
    /// Answers that the driver has not been shown.
    var unpublishedCount = 0
    /// A chain has come since the last kick was armed.
    var sawChains = false
    var requests: UInt64 = 0
    var rejections: UInt64 = 0
    var isStopping = false
  }

  let queue: VhostUserQueue
  let memory: GuestMemory
  let state = FixedCell(State())
  /// Called when nothing of the queue is under way any more.
  var stopping: (() -> Void)? { didSet { state.value.isStopping = stopping != nil } }

  init(_ queue: VhostUserQueue) {
    self.queue = queue
    memory = queue.ring.value.memory
  }

  var deferred: DeviceQueue.Chain? {
    @inline(__always) get { state.value.deferred }
    @inline(__always) set { state.value.deferred = newValue }
  }
  var inFlightCount: Int {
    @inline(__always) get { state.value.inFlightCount }
    @inline(__always) set { state.value.inFlightCount = newValue }
  }
  var unpublishedCount: Int {
    @inline(__always) get { state.value.unpublishedCount }
    @inline(__always) set { state.value.unpublishedCount = newValue }
  }
  var sawChains: Bool {
    @inline(__always) get { state.value.sawChains }
    @inline(__always) set { state.value.sawChains = newValue }
  }

  /// Whether new chains may be taken now.
  var canTake: Bool { !state.value.isStopping && state.value.deferred == nil && !queue.isBroken }
}

/// Hears the engine for a plane, which has another base class already.
private final class PlaneClient: BlockEngineClient {
  // Strong, and let go of by the plane's `close`: an unowned one would be counted with each request.
  private let plane: BlockVirtioPlane
  init(_ plane: BlockVirtioPlane) { self.plane = plane }
  override func completed(tag: UInt64, status: BlockStatus) { plane.completed(Int(tag), status) }
}

extension BlockStatus {
  /// As a virtio-blk request's last byte says it.
  var virtio: VirtioBlockStatus {
    switch self {
    case .okay: .okay
    case .error: .error
    case .notSupported: .unsupported
    }
  }
}
