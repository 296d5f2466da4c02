public import NetPackets

/// A port of a switch, which a vif is connected to.
public final class SwitchPort: NetPort {
  let index: Int
  private let virtualSwitch: VirtualSwitch
  private let state: SwitchPortState
  /// Frames of the vif that the uplink has.
  private var pendingCount = 0
  private var disconnected: (() -> Void)?

  init(index: Int, of virtualSwitch: VirtualSwitch) {
    guard let state = virtualSwitch.ports[index] else { preconditionFailure("a port that the switch does not have") }
    self.index = index
    self.virtualSwitch = virtualSwitch
    self.state = state
    super.init()
    state.port = self
  }

  public var counters: SwitchPortCounters { state.counters }

  public override var capabilities: FrameCapabilities { virtualSwitch.capabilities }
  public override var traffic: NetPortTraffic? { state.counters.traffic }

  public override func connect(_ client: NetPortClient, accepting: FrameCapabilities, queueCount: Int) throws(NetPortError) {
    guard state.client == nil, disconnected == nil else { throw .busy("port \(index) of switch \(virtualSwitch.name)") }
    self.client = client
    state.client = client
    state.accepting = accepting
  }

  public override func transmit(_ frame: Frame, queue: Int) -> TransmitOutcome {
    frame.sender = index
    let outcome = virtualSwitch.forward(frame, from: index, state, queue: queue)
    if case .pending = outcome { pendingCount += 1 }
    return outcome
  }

  public override func endOfTransmitBatch() { virtualSwitch.endOfBatch() }

  public override func disconnect(_ done: @escaping () -> Void) {
    virtualSwitch.forget(index)
    state.client = nil
    disconnected = done
    finishDisconnecting()
  }

  /// Takes the port off the switch.
  public override func close() { virtualSwitch.removePort(index) }

  func finished(_ frame: Frame, succeeded: Bool) {
    pendingCount -= 1
    client?.transmitted(frame, succeeded: succeeded)
    finishDisconnecting()
  }

  private func finishDisconnecting() {
    guard pendingCount == 0, let done = disconnected.take() else { return }
    client = nil
    done()
  }
}
