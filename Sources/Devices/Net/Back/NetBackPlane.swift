import EventLoop
import LinuxSystem
import Logging
import NetEngine
import NetInterface
import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import SystemPackage
import XenInterface
import XenPlatform

/// The ring half of a connected net back-end: all queues of one vif, served together on the device's loop.
///
/// A turn takes up to ``budget`` frames from each transmit ring, hands them to the port, and publishes all responses once. Frames for
/// the guest come from the port in its own turns (``receive(_:queue:)``). Lives from connect to disconnect; every call on the loop's thread.
final class NetBackPlane: LoopSource, BackPlane {
  /// What is done with a connection, apart from its rings.
  struct Settings {
    var acceptance = NetAcceptance()
    var rate: RateLimit?
    var configuration = NetBackConfiguration()
  }

  /// What changes with each frame. Apart from the object, so that no access is checked for overlapping others.
  struct State {
    var acceptance: NetAcceptance
    var poller: PlanePoller
    var firstQueue = 0
    var rate: RateLimit?
    /// There is a ``rate``: looked at for each frame.
    var isLimited: Bool
    /// No frame is taken before this time: the rate limit.
    var heldUntil: UInt64 = 0
    /// False until the port is connected, and again from the beginning of the end.
    var isServing = false
  }

  /// Frames that one queue may have taken in one turn.
  static let budget = 128

  let port: NetPort
  let grants: ForeignGrants
  /// A page for what is on its way into one that is not mapped for that; see ``ForeignGrants/mapsBySystemCall``.
  let bounce: SharedBytes
  let logger: Logger
  let onFault: (_ queue: Int, NetBackFault) -> Void
  let onCarrier: (Bool) -> Void
  let configuration: NetBackConfiguration
  private(set) var queues: [NetBackQueue] = []
  /// The same queues, for what is done with each frame.
  let table: FixedObjects<NetBackQueue>
  var multicast = MulticastFilter()
  let control: NetControl?
  let state: FixedCell<State>
  let clock = LoopClock()
  var limiter = LogLimiter()
  private var client: PlaneClient?
  private var stopping: ((_ leakedPageCount: Int) -> Void)?
  private var timer: (call: LoopTimer, at: UInt64)?

  /// Maps the front-end's rings, connects to the port and begins to serve. `channels` are bound to the ports of `transport`: for each
  /// queue one or two, and the control ring's last. On failure nothing stays mapped.
  /// - Parameters:
  ///   - onFault: told once a queue when the front-end did what none may; on the loop.
  ///   - onCarrier: told when what is behind the port comes up or goes away; on the loop.
  init(
    port: NetPort, loop: EventLoop, grants: ForeignGrants, transport: NetTransport, channels: NetChannels, settings: Settings, logger: Logger,
    onFault: @escaping (_ queue: Int, NetBackFault) -> Void, onCarrier: @escaping (Bool) -> Void
  ) throws(NetConnectError) {
    self.port = port
    self.grants = grants
    self.logger = logger
    self.onFault = onFault
    self.onCarrier = onCarrier
    configuration = settings.configuration
    multicast.isActive = settings.acceptance.multicastControl
    do throws(Errno) { bounce = try SharedRegion(anonymousByteCount: pageByteCount).bytes } catch { throw .memory("\(error)") }
    var queues: [NetBackQueue] = []
    for (index, queue) in transport.queues.enumerated() { queues.append(try NetBackQueue(queue, index: index, grants: grants)) }
    table = FixedObjects(count: queues.count) { queues[$0] }
    control = try transport.control.map { control throws(NetConnectError) in
      try NetControl(control.ringReference, kept: queues.map(\.kept), grants: grants)
    }
    state = FixedCell(
      State(
        acceptance: settings.acceptance, poller: PlanePoller(settings.configuration.polling), rate: settings.rate,
        isLimited: settings.rate != nil))
    super.init()
    self.queues = queues
    let client = PlaneClient(self)
    do throws(NetPortError) {
      try port.connect(client, accepting: settings.acceptance.capabilities, queueCount: queues.count)
    } catch {
      throw .port(error)
    }
    self.client = client
    loop.attach(self)
    for (queue, bound) in zip(queues, channels.queues) {
      // Events are looked at in turn: the loop serves this source after it has taken the completion that the event is.
      queue.listen(on: bound.map { LoopEventChannel($0, loop: loop) {} })
    }
    if let control, let channel = channels.control {
      control.channel = LoopEventChannel(channel, loop: loop) {}
    }
    state.value.isServing = true
  }

  /// What the front-end wants.
  var acceptance: NetAcceptance { state.value.acceptance }

  // MARK: Turns

  override func service() -> Service {
    if !state.value.isServing { return .idle }
    var worked = false
    var more = false
    let now = state.value.heldUntil > 0 || hasWaitingFrames ? clock.nowNanoseconds : 0
    if now < state.value.heldUntil {
      if !hasTimer { wake(afterNanoseconds: state.value.heldUntil - now) }
    } else {
      state.value.heldUntil = 0
      // Another queue goes first each turn, so that none lives on what the others leave of the port.
      state.value.firstQueue += 1
      if state.value.firstQueue >= table.count { state.value.firstQueue = 0 }
      for offset in 0..<table.count {
        let position = state.value.firstQueue + offset
        switch table.withObject(position < table.count ? position : position - table.count, { transmit(from: $0) }) {
        case .idle: break
        case .worked: worked = true
        case .moreToDo: more = true
        }
      }
      if worked || more { port.endOfTransmitBatch() }
    }
    for queue in queues where queue.state.value.wantedReceiveSlots > 0 {
      if goOnReceiving(queue, now: now) { worked = true }
    }
    if let control, serve(control) { worked = true }
    for queue in queues where queue.state.value.hasTransmitResponses || queue.state.value.hasReceiveResponses {
      worked = true
      publish(queue)
    }
    if worked || more { state.value.poller.turnWorked() }
    return more ? .moreToDo : worked ? .worked : .idle
  }

  private var hasWaitingFrames: Bool {
    for queue in queues where queue.state.value.wantedReceiveSlots > 0 { return true }
    return false
  }

  /// Shows responses to the front-end, and tells it if it wants to be told.
  func publish(_ queue: NetBackQueue) {
    if queue.state.value.hasTransmitResponses {
      queue.state.value.hasTransmitResponses = false
      if queue.state.value.fault == nil, queue.transmitRing.cell.value.publishResponses() { queue.signalTransmit() }
    }
    if queue.state.value.hasReceiveResponses {
      queue.state.value.hasReceiveResponses = false
      // The front-end may take its pages back as soon as it sees the answers.
      queue.posted.endOfBatch(grants)
      if queue.state.value.fault == nil, queue.receiveRing.cell.value.publishResponses() { queue.signalReceive() }
    }
  }

  /// The front-end has done what no front-end can: the rings of that queue are not touched any more, and whoever runs the device is told.
  func giveUp(_ queue: NetBackQueue, _ fault: NetBackFault) {
    guard queue.state.value.fault == nil else { return }
    queue.state.value.fault = fault
    queue.state.value.wantedReceiveSlots = 0
    logger.error("queue \(queue.index) is broken: \(fault)")
    onFault(queue.index, fault)
  }

  override func hasWork() -> Bool {
    guard state.value.isServing else { return false }
    if state.value.heldUntil == 0 {
      for queue in queues where queue.state.value.fault == nil && queue.packets.hasFree && queue.transmitRing.cell.value.hasRequests() { return true }
    }
    for queue in queues where queue.state.value.wantedReceiveSlots > 0 {
      if queue.receiveRing.cell.value.hasRequests(wanted: queue.state.value.wantedReceiveSlots) { return true }
    }
    return false
  }

  override func wantsPolling(now: UInt64) -> Bool {
    state.value.poller.wantsPolling(now: now) && state.value.isServing
  }

  override func prepareToSleep() -> Bool {
    guard state.value.isServing else { return false }
    var pending = false
    for queue in queues where queue.state.value.fault == nil {
      for channel in queue.channels where channel.isPending { channel.rearm(spurious: !queue.state.value.sawRequests) }
      queue.state.value.sawRequests = false
      do throws(RingFault) {
        // Held by the rate limit, or with no place for another frame: what comes is looked at when that has changed.
        if state.value.heldUntil == 0, queue.packets.hasFree, try queue.transmitRing.cell.value.armRequestEvent() { pending = true }
      } catch {
        giveUp(queue, .ring(.transmit, error))
        continue
      }
      do throws(RingFault) {
        let wanted = queue.state.value.wantedReceiveSlots
        if wanted > 0, try queue.receiveRing.cell.value.armRequestEvent(wanted: wanted) { pending = true }
      } catch {
        giveUp(queue, .ring(.receive, error))
      }
    }
    if let control, prepareToSleep(control) { pending = true }
    // Another source may have ended frames, or brought some, after this one had its turn.
    for queue in queues where queue.state.value.hasTransmitResponses || queue.state.value.hasReceiveResponses { pending = true }
    return pending
  }

  // MARK: Time

  /// Calls the loop back: for a rate limit that lets frames through again, a guest that gives no notice, frames that are kept too long.
  /// An earlier call that is due already stays: whoever asked for the later one asks again after it.
  func wake(afterNanoseconds nanoseconds: UInt64) {
    let time = MonotonicClock.nowNanoseconds + nanoseconds
    if let timer, timer.at <= time { return }
    timer?.call.cancel()
    guard let call = loop?.schedule(afterNanoseconds: nanoseconds, { [weak self] in self?.timer = nil }) else { return }
    timer = (call, time)
  }

  var hasTimer: Bool { timer != nil }

  /// Puts another limit in force; nil: none.
  func setRate(_ rate: RateLimit?) {
    state.value.rate = rate
    state.value.isLimited = rate != nil
    state.value.heldUntil = 0
  }

  /// Puts what the front-end wants while it is connected in force.
  func setHeadroom(_ byteCount: Int) { state.value.acceptance.headroomByteCount = byteCount }
  func setMulticastControl(_ isActive: Bool) {
    state.value.acceptance.multicastControl = isActive
    multicast.isActive = isActive
  }

  // MARK: The end

  /// Frames of the guest that the port has.
  var inFlightCount: Int { queues.reduce(0) { $0 + $1.packets.inFlightCount } }

  /// What all queues have done.
  var counters: NetQueueCounters { queues.reduce(into: NetQueueCounters()) { $0.add($1.counters) } }

  func stop(_ done: @escaping (_ leakedPageCount: Int) -> Void) {
    precondition(stopping == nil, "stopped twice")
    stopping = done
    state.value.isServing = false
    timer?.call.cancel()
    port.disconnect { [self] in portDisconnected() }
  }

  private func portDisconnected() {
    precondition(inFlightCount == 0, "the port is done, but has frames")
    client = nil
    for queue in queues { publish(queue) }
    let channels = queues.flatMap(\.channels) + (control?.channel.map { [$0] } ?? [])
    channels.close { [self] in finishClosed() }
  }

  private func finishClosed() {
    guard let done = stopping else { return }
    for queue in queues { queue.unmap(grants) }
    control?.unmap()
    queues.removeAll()
    loop?.detach(self)
    stopping = { _ in }
    done(grants.mappedPageCount)
  }
}

/// Event channels of a vif, bound: one or two a queue, and the control ring's.
struct NetChannels {
  var queues: [[EventChannel]] = []
  var control: EventChannel?

  var all: [EventChannel] { queues.flatMap { $0 } + (control.map { [$0] } ?? []) }
}

/// Hears the port for a plane, which has another base class already.
private final class PlaneClient: NetPortClient {
  /// Strong, because a weaker reference costs two atomic operations a frame; the plane lets go of us when the port is done.
  private let plane: NetBackPlane
  init(_ plane: NetBackPlane) { self.plane = plane }
  override func transmitted(_ frame: Frame, succeeded: Bool) { plane.transmitted(frame, succeeded: succeeded) }
  override func receive(_ frame: Frame, queue: Int) -> ReceiveOutcome { plane.receive(frame, queue: queue) }
  override func receive(_ batch: FrameBatch, _ range: Range<Int>, queue: Int) -> Int { plane.receive(batch, range, queue: queue) }
  override func endOfReceiveBatch() { plane.endOfReceiveBatch() }
  override func carrierChanged(isUp: Bool) { plane.onCarrier(isUp) }
}
