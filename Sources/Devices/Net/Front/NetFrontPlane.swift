public import EventLoop
import LinuxSystem
import NetInterface
public import NetPackets
public import PVDriver
import SharedMemory
import SharedRing
import XenInterface

/// The ring half of a net front-end: the queues of one interface on one loop.
///
/// Frames go out with ``transmit(_:queue:)``, which copies them into granted pages, and come in at the ``NetFrontClient``. Without a
/// connection nothing is taken. Loop thread only.
public final class NetFrontPlane: LoopSource, FrontPlane {
  public let configuration: NetFrontConfiguration
  /// Who takes the frames. Set it before the first connection.
  public var client: NetFrontClient?
  let reporter: NetFrontReporter
  /// The client of those who use whole frames, once there are any.
  var exchange: FrameExchange?
  var phase: FrontPhase {
    @inline(__always) get { state.value.phase }
    @inline(__always) set {
      state.value.phase = newValue
      // Nothing is asked for any more, and nothing else is waited for there.
      if newValue != .connected { state.value.isSettingUp = false }
    }
  }
  var connection: NetFrontConnection?
  /// Queues of the connection; kept apart so that a turn does not go through optionals.
  var queues: [NetFrontQueue] = [] {
    didSet { state.value.queueCount = queues.count }
  }
  /// Those of the connection, for what is done with each frame: ``State/queueCount`` says how many of them are in use. Not changed before
  /// the connection ends, so that none goes away while it has its turn.
  let table = FixedCell(FixedObjects<NetFrontQueue>(count: 0) { _ in preconditionFailure("no queue") })
  var quiesced: (() -> Void)?
  var disconnected: ((_ stillMapped: Int) -> Void)?
  /// Called when the back-end broke a rule: the store half then ends the connection.
  var onFault: ((NetFrontFault) -> Void)?
  /// Called when nothing more is asked for on the control ring, with how many grants the back-end keeps.
  var onControlEnd: ((NetFrontControl.Ending, _ keptCount: Int) -> Void)?
  let state: FixedCell<State>

  /// What changes with each frame. Apart from the object, so that no access is checked for overlapping others.
  struct State {
    var phase = FrontPhase.disconnected
    /// Queues that frames go through.
    var queueCount = 0
    /// Something is asked for on the control ring, or will be: looked at in every turn.
    var isSettingUp = false
    var poller: PlanePoller
    var counters = NetFrontCounters()
    /// What the back-end takes of us without help; nothing while there is no connection.
    var capabilities: FrameCapabilities = []
  }

  init(configuration: NetFrontConfiguration, reporter: NetFrontReporter) {
    self.configuration = configuration
    self.reporter = reporter
    state = FixedCell(State(poller: PlanePoller(configuration.polling)))
  }

  public var counters: NetFrontCounters { state.value.counters }
  public var isConnected: Bool { phase == .connected }
  /// Queues of the connection; 0 while there is none.
  public var queueCount: Int { state.value.queueCount }
  /// What the back-end takes of us without help; nothing while there is no connection.
  public var capabilities: FrameCapabilities { state.value.capabilities }

  // MARK: Turns

  public override func service() -> Service {
    guard phase == .connected || phase == .quiescing else { return .idle }
    var worked = false
    for index in 0..<state.value.queueCount {
      table.value.withObject(index) { queue in
        if queue.state.value.fault != nil { return }
        if reap(queue) { worked = true }
        if receive(on: queue) { worked = true }
      }
      if phase == .severed { return .worked }
    }
    if worked { client?.endOfReceiveBatch() }
    publish()
    if state.value.isSettingUp, advanceControl() { worked = true }
    if worked { state.value.poller.turnWorked() }
    if phase == .quiescing { finishQuiescing() }
    return worked ? .worked : .idle
  }

  /// Shows the back-end what was put on the rings, and tells it if it wants to be told. Part of every turn; to be called by whoever
  /// transmits outside of ours and wants it to go out with this turn's submission.
  public func publish() {
    guard phase == .connected || phase == .quiescing else { return }
    for index in 0..<state.value.queueCount {
      table.value.withObject(index) { queue in
        if queue.state.value.fault != nil { return }
        if queue.state.value.hasRequests {
          queue.state.value.hasRequests = false
          if queue.transmitRing.value.publishRequests() { queue.signalTransmit() }
        }
        if queue.state.value.hasPostedPages {
          queue.state.value.hasPostedPages = false
          if queue.receiveRing.value.publishRequests() { queue.signalReceive() }
        }
      }
    }
  }

  public override func hasWork() -> Bool {
    guard phase == .connected || phase == .quiescing else { return false }
    for queue in queues where queue.state.value.fault == nil {
      if queue.receiveRing.value.hasResponses() || queue.transmitRing.value.hasResponses() { return true }
    }
    return state.value.isSettingUp && controlHasWork
  }

  public override func wantsPolling(now: UInt64) -> Bool {
    guard phase == .connected || phase == .quiescing else { return false }
    return state.value.poller.wantsPolling(now: now)
  }

  public override func prepareToSleep() -> Bool {
    guard phase == .connected || phase == .quiescing else { return false }
    var pending = false
    for queue in queues where queue.state.value.fault == nil {
      // Another source may have transmitted after our turn.
      if queue.state.value.hasRequests || queue.state.value.hasPostedPages { pending = true }
      for channel in queue.channels where channel.isPending { channel.rearm(spurious: !queue.state.value.sawResponses) }
      queue.state.value.sawResponses = false
      do throws(RingFault) {
        if try queue.receiveRing.value.armResponseEvent() { pending = true }
      } catch {
        sever(.receiveRing(error), queue)
        return true
      }
      do throws(RingFault) {
        let wanted = phase == .quiescing ? 1 : queue.wantedTransmitResponses
        if try queue.transmitRing.value.armResponseEvent(wanted: wanted) { pending = true }
      } catch {
        sever(.transmitRing(error), queue)
        return true
      }
    }
    if state.value.isSettingUp, prepareControlToSleep() { pending = true }
    return pending
  }
}
