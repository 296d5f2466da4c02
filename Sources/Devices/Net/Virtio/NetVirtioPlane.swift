import EventLoop
import LinuxSystem
import Logging
import NetEngine
import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import VhostUser
import VirtioRing

/// The ring half of an interface that a VMM uses: all its queues, served together on the device's loop.
///
/// A turn takes up to ``budget`` frames from each transmit queue, hands them to the port, and shows all answers once. Frames for the guest
/// come from the port in its own turns (``receive(_:queue:)``). Loop thread only.
final class NetVirtioPlane: LoopSource {
  /// What changes with each frame. Apart from the object, so that no access is checked for overlapping others.
  struct State {
    var poller: AdaptivePoller
    var workedSincePoll = false
    var rate: RateLimit?
    /// No frame is taken before this time: the rate limit.
    var heldUntil: UInt64 = 0
    var counters = NetVirtioStatus.Counters()
  }

  /// Frames that one queue may have taken in one turn.
  static let budget = 64

  let port: NetPort
  let logger: Logger
  var memory = GuestMemory()
  var onCarrier: () -> Void = {}
  let state: FixedCell<State>
  var limiter = LogLimiter()
  /// By pair; nil while not running.
  private(set) var transmitQueues: [NetVirtioTransmitQueue?]
  private(set) var receiveQueues: [NetVirtioReceiveQueue?]
  /// Private memory for the heads of frames, for each transmit queue.
  private let heads: [SharedBytes]
  /// Memory in which the header of a frame for the guest is made.
  let header: SharedBytes
  private var client: PlaneClient?

  init(port: NetPort, pairCount: Int, rate: RateLimit?, polling: PollingPolicy, logger: Logger) {
    self.port = port
    self.logger = logger
    state = FixedCell(State(poller: AdaptivePoller(polling), rate: rate))
    transmitQueues = [NetVirtioTransmitQueue?](repeating: nil, count: pairCount)
    receiveQueues = [NetVirtioReceiveQueue?](repeating: nil, count: pairCount)
    heads = (0..<pairCount).map { _ in Self.memory(NetVirtioTransmitQueue.headByteCount) }
    header = Self.memory(4096)
  }

  private static func memory(_ byteCount: Int) -> SharedBytes {
    do { return try SharedRegion(anonymousByteCount: byteCount).bytes } catch { fatalError("no memory for \(byteCount) bytes: \(error)") }
  }

  // MARK: Queues

  func started(_ queue: VhostUserQueue) {
    let pair = queue.index / 2
    if queue.index % 2 == 0 {
      receiveQueues[pair] = NetVirtioReceiveQueue(queue)
    } else {
      transmitQueues[pair] = NetVirtioTransmitQueue(queue, heads: heads[pair])
    }
    connectPort(queue)
  }

  /// The port is connected as long as any queue runs.
  private func connectPort(_ queue: VhostUserQueue) {
    guard client == nil else { return }
    let client = PlaneClient(self)
    do throws(NetPortError) {
      try port.connect(client, accepting: NetVirtioReceiveQueue(queue).accepts, queueCount: receiveQueues.count)
      self.client = client
    } catch {
      logger.error("the interface cannot be connected: \(error)")
    }
  }

  func stop(_ queue: VhostUserQueue, done: @escaping () -> Void) {
    let pair = queue.index / 2
    if queue.index % 2 == 0, let served = receiveQueues[pair], served.queue === queue {
      if queue.fault == nil { served.giveBack() }
      if served.hasUnpublished { queue.publish() }
      receiveQueues[pair] = nil
      return disconnectPortIfIdle(done)
    }
    guard queue.index % 2 == 1, let served = transmitQueues[pair], served.queue === queue else { return done() }
    served.stopping = { [self] in
      transmitQueues[pair] = nil
      disconnectPortIfIdle(done)
    }
    finishStopping(served)
  }

  /// A transmit queue that is to stop has when the port has none of its frames.
  func finishStopping(_ served: NetVirtioTransmitQueue) {
    guard served.inFlightCount == 0, let done = served.stopping else { return }
    served.stopping = nil
    if served.hasUnpublished { publish(served) }
    done()
  }

  private func disconnectPortIfIdle(_ done: @escaping () -> Void) {
    guard client != nil, transmitQueues.allSatisfy({ $0 == nil }), receiveQueues.allSatisfy({ $0 == nil }) else { return done() }
    client = nil
    port.disconnect(done)
  }

  func close() {
    precondition(client == nil, "closed with queues running")
    loop?.detach(self)
  }

  func setRate(_ rate: RateLimit?) {
    state.value.rate = rate
    state.value.heldUntil = 0
  }

  var status: NetVirtioStatus {
    var queues: [NetVirtioStatus.Queue] = []
    func add(_ queue: VhostUserQueue, inFlight: Int) {
      let counters = queue.events?.counters
      queues.append(
        NetVirtioStatus.Queue(
          index: queue.index, inFlight: inFlight, events: counters?.events ?? 0, spuriousEvents: counters?.spuriousEvents ?? 0,
          signals: counters?.signals ?? 0, fault: queue.fault))
    }
    for pair in receiveQueues.indices {
      if let served = receiveQueues[pair] { add(served.queue, inFlight: 0) }
      if let served = transmitQueues[pair] { add(served.queue, inFlight: served.inFlightCount) }
    }
    return NetVirtioStatus(hasCarrier: port.hasCarrier, counters: state.value.counters, queues: queues, port: port.traffic)
  }

  // MARK: Turns

  override func service() -> Service {
    var worked = false
    var more = false
    if state.value.heldUntil == 0 {
      for pair in transmitQueues.indices {
        guard let served = transmitQueues[pair] else { continue }
        switch transmit(from: served) {
        case .idle: break
        case .worked: worked = true
        case .moreToDo: more = true
        }
      }
      if worked || more { port.endOfTransmitBatch() }
    }
    for pair in transmitQueues.indices {
      if let served = transmitQueues[pair], served.hasUnpublished {
        worked = true
        publish(served)
      }
      if let served = receiveQueues[pair] {
        if served.isWaiting, served.queue.fault == nil, served.queue.ring.value.hasChains() {
          worked = true
          served.isWaiting = false
          port.receiveReady(queue: pair)
        }
        if served.hasUnpublished { publish(served) }
      }
    }
    if worked || more { state.value.workedSincePoll = true }
    return more ? .moreToDo : worked ? .worked : .idle
  }

  func publish(_ served: NetVirtioTransmitQueue) {
    served.hasUnpublished = false
    served.queue.publish()
  }

  func publish(_ served: NetVirtioReceiveQueue) {
    served.hasUnpublished = false
    served.queue.publish()
  }

  override func hasWork() -> Bool {
    for pair in transmitQueues.indices {
      if let served = transmitQueues[pair], canTake(from: served), served.queue.ring.value.hasChains() { return true }
      if let served = receiveQueues[pair], served.isWaiting, served.queue.fault == nil, served.queue.ring.value.hasChains() { return true }
    }
    return false
  }

  func canTake(from served: NetVirtioTransmitQueue) -> Bool {
    served.stopping == nil && served.queue.fault == nil && served.hasFree && state.value.heldUntil == 0
  }

  override func wantsPolling(now: UInt64) -> Bool {
    if state.value.workedSincePoll {
      state.value.workedSincePoll = false
      state.value.poller.workArrived(at: now)
    }
    return client != nil && state.value.poller.shouldKeepPolling(now: now)
  }

  override func prepareToSleep() -> Bool {
    var pending = false
    for pair in transmitQueues.indices {
      if let served = transmitQueues[pair], canTake(from: served) {
        if served.queue.armKick(sawChains: served.sawChains) { pending = true }
        served.sawChains = false
      }
      if let served = receiveQueues[pair], served.isWaiting {
        if served.queue.armKick(sawChains: served.sawChains) { pending = true }
        served.sawChains = false
      }
    }
    // Another source may have ended frames, or brought some, after this one had its turn.
    for pair in transmitQueues.indices where transmitQueues[pair]?.hasUnpublished == true || receiveQueues[pair]?.hasUnpublished == true {
      pending = true
    }
    return pending
  }
}

/// Hears the port for a plane, which has another base class already.
private final class PlaneClient: NetPortClient {
  private unowned let plane: NetVirtioPlane
  init(_ plane: NetVirtioPlane) { self.plane = plane }
  override func transmitted(_ frame: Frame, succeeded: Bool) { plane.transmitted(frame, succeeded: succeeded) }
  override func receive(_ frame: Frame, queue: Int) -> ReceiveOutcome { plane.receive(frame, queue: queue) }
  override func endOfReceiveBatch() { plane.endOfReceiveBatch() }
  override func carrierChanged(isUp: Bool) { plane.onCarrier() }
}
