import BlockEngine
import EventLoop
import Logging
import PVDriver
import SharedMemory
import SharedRing
import VhostUser
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
    var poller: AdaptivePoller
    var workedSincePoll = false
    /// Until when the rings are looked at although the poller has given up: as in a blkif back-end.
    var lookUntil: UInt64 = 0
  }

  /// Requests that one queue may have handled in one turn.
  static let budget = 64
  /// Answers that are shown together at most: both sides work at the same time then.
  private static let publishBatch = 16
  private static let turnaroundNanoseconds: UInt64 = 5_000

  let engine: BlockEngine
  let identity: [UInt8]
  let logger: Logger
  var memory = GuestMemory()
  let rows: FixedTable<Row>
  var limiter = LogLimiter()
  /// By number; nil while not running.
  private var queues: [BlockVirtioQueue?] = []
  private let state: FixedCell<State>
  private var client: PlaneClient?
  /// Requests whose data goes through memory of ours, by the engine's index.
  var bounces: [Int: BounceBuffer] = [:]
  /// What requests write, by the engine's index, while a migration wants it marked.
  var written: [Int: [GuestBuffer]] = [:]

  init(engine: BlockEngine, queueCount: Int, identity: [UInt8], polling: PollingPolicy, logger: Logger) {
    self.engine = engine
    self.identity = identity
    self.logger = logger
    queues = [BlockVirtioQueue?](repeating: nil, count: queueCount)
    rows = FixedTable(repeating: Row(), count: engine.requestCapacity)
    state = FixedCell(State(poller: AdaptivePoller(polling)))
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
    finishStopping(served)
  }

  /// A queue that is to stop has when nothing of it is under way.
  private func finishStopping(_ served: BlockVirtioQueue) {
    guard served.inFlightCount == 0, served.deferred == nil, let done = served.stopping else { return }
    served.stopping = nil
    queues[served.queue.index] = nil
    done()
  }

  func close() {
    precondition(queues.allSatisfy { $0 == nil }, "closed with queues running")
    engine.client = nil
    client = nil
    loop?.detach(self)
  }

  var status: [BlockVirtioQueueStatus] {
    queues.compactMap { served in
      guard let served else { return nil }
      let counters = served.queue.events?.counters
      return BlockVirtioQueueStatus(
        entryCount: served.queue.ring.value.entryCount, inFlight: served.inFlightCount, requests: served.requests, rejections: served.rejections,
        events: counters?.events ?? 0, spuriousEvents: counters?.spuriousEvents ?? 0, signals: counters?.signals ?? 0, fault: served.queue.fault)
    }
  }

  // MARK: Turns

  override func service() -> Service {
    var worked = false
    var more = false
    for position in queues.indices {
      guard let served = queues[position] else { continue }
      switch take(from: served) {
      case .idle: break
      case .worked: worked = true
      case .moreToDo: more = true
      }
      if served.unpublishedCount > 0 {
        worked = true
        publish(served)
      }
      if served.stopping != nil { finishStopping(served) }
    }
    if worked || more { state.value.workedSincePoll = true }
    return more ? .moreToDo : worked ? .worked : .idle
  }

  /// Handles what the queue has, within the budget.
  private func take(from served: BlockVirtioQueue) -> Service {
    if served.queue.fault != nil {
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
    if served.stopping != nil { return count > 0 ? .worked : .idle }
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
      served.requests &+= 1
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
    served.queue.publish()
  }

  override func hasWork() -> Bool {
    for position in queues.indices {
      if let served = queues[position], served.canTake, served.queue.ring.value.hasChains() { return true }
    }
    return false
  }

  override func wantsPolling(now: UInt64) -> Bool {
    if state.value.workedSincePoll {
      state.value.workedSincePoll = false
      state.value.poller.workArrived(at: now)
      state.value.lookUntil = state.value.poller.policy == .never ? 0 : now &+ Self.turnaroundNanoseconds
    }
    return state.value.poller.shouldKeepPolling(now: now) || now < state.value.lookUntil
  }

  override func prepareToSleep() -> Bool {
    var pending = false
    for position in queues.indices {
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
    guard let served = queues[Int(row.queue)] else { preconditionFailure("a request of a queue that has stopped") }
    served.inFlightCount -= 1
    if !bounces.isEmpty, let bounce = bounces.removeValue(forKey: index), status == .okay { bounce.spill(to: memory) }
    if !written.isEmpty, let buffers = written.removeValue(forKey: index) { for buffer in buffers { memory.markWritten(buffer) } }
    answer(served, row, status.virtio)
  }

  /// Answers a chain. A queue that broke meanwhile is not touched.
  @inline(__always) func answer(_ served: BlockVirtioQueue, _ row: Row, _ status: UInt8) {
    guard served.queue.fault == nil else { return }
    memory.store8(status, to: row.status, at: row.status.byteCount - 1)
    if memory.dirtyLog.isActive { memory.markWritten(row.status) }
    served.queue.ring.value.put(row.chain, writtenByteCount: status == VirtioBlockStatus.okay ? row.writtenByteCount : 1)
    served.unpublishedCount += 1
  }
}

/// A queue as the plane serves it.
final class BlockVirtioQueue {
  let queue: VhostUserQueue
  /// A chain that was taken when the engine was full.
  var deferred: DeviceQueue.Chain?
  var inFlightCount = 0
  /// Answers that the driver has not been shown.
  var unpublishedCount = 0
  /// A chain has come since the last kick was armed.
  var sawChains = false
  var requests: UInt64 = 0
  var rejections: UInt64 = 0
  var stopping: (() -> Void)?

  init(_ queue: VhostUserQueue) { self.queue = queue }

  /// Whether new chains may be taken now.
  var canTake: Bool { stopping == nil && deferred == nil && queue.fault == nil }
}

/// Hears the engine for a plane, which has another base class already.
private final class PlaneClient: BlockEngineClient {
  private unowned let plane: BlockVirtioPlane
  init(_ plane: BlockVirtioPlane) { self.plane = plane }
  override func completed(tag: UInt64, status: BlockStatus) { plane.completed(Int(tag), status) }
}

extension BlockStatus {
  /// As a virtio-blk request's last byte says it.
  var virtio: UInt8 {
    switch self {
    case .okay: VirtioBlockStatus.okay
    case .error: VirtioBlockStatus.error
    case .notSupported: VirtioBlockStatus.unsupported
    }
  }
}
