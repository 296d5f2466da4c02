import NetPackets

/// The switch as the port behind it sees it: frames that come from there, and frames that go there.
final class SwitchUplink: NetPortClient {
  let port: NetPort
  private let index: Int
  private unowned let virtualSwitch: VirtualSwitch

  init(_ port: NetPort, index: Int, of virtualSwitch: VirtualSwitch) {
    self.port = port
    self.index = index
    self.virtualSwitch = virtualSwitch
  }

  func connect() throws(NetPortError) { try port.connect(self, accepting: .all.union(.datagrams), queueCount: 1) }

  func send(_ frame: Frame) -> NetPort.TransmitOutcome { port.transmit(frame, queue: 0) }

  /// A run of ``send(_:)`` is over.
  func endOfBatch() { port.endOfTransmitBatch() }

  // A receiver without room loses the frame: one slow guest must not stop the others. The switch has it then, and counts what becomes of it.
  override func receive(_ frame: Frame, queue: Int) -> ReceiveOutcome {
    frame.sender = index
    _ = virtualSwitch.forward(frame, from: index, queue: queue)
    return .delivered
  }

  override func endOfReceiveBatch() { virtualSwitch.endOfBatch() }
  override func transmitted(_ frame: Frame, succeeded: Bool) { virtualSwitch.finished(frame, succeeded: succeeded) }
}
