public import NetPackets
import SharedMemory

/// A port of a switch, which a vif is connected to.
public final class SwitchPort: NetPort {
  let index: Int
  private let virtualSwitch: VirtualSwitch
  /// What the switch knows of us.
  private let entry: SwitchPortState
  /// Frames of the vif that the uplink has.
  private var pendingCount = 0
  private var disconnected: (() -> Void)?

  init(_ entry: SwitchPortState, index: Int, of virtualSwitch: VirtualSwitch) {
    self.index = index
    self.virtualSwitch = virtualSwitch
    self.entry = entry
    super.init()
    entry.port = self
  }

  public var counters: SwitchPortCounters { entry.state.value.counters }

  public override var capabilities: FrameCapabilities { virtualSwitch.capabilities }
  public override var traffic: NetPortTraffic? { entry.state.value.counters.traffic }

  public override func connect(_ client: NetPortClient, accepting: FrameCapabilities, queueCount: Int) throws(NetPortError) {
    guard !entry.state.value.hasClient, disconnected == nil else { throw .busy("port \(index) of switch \(virtualSwitch.name)") }
    self.client = client
    entry.client = client
    entry.state.value.accepting = accepting
  }

  public override func transmit(_ frame: Frame, queue: Int) -> TransmitOutcome {
    frame.sender = index
    let outcome = virtualSwitch.forward(frame, from: index, entry, queue: queue)
    if case .pending = outcome { pendingCount += 1 }
    return outcome
  }

  public override func transmit(_ batch: FrameBatch, queue: Int) {
    pendingCount += virtualSwitch.forward(batch, from: index, entry, queue: queue)
  }

  public override func endOfTransmitBatch() { virtualSwitch.endOfBatch() }

  public override func disconnect(_ done: @escaping () -> Void) {
    virtualSwitch.forget(index)
    entry.client = nil
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
