public import EventLoop
public import NetPackets

/// A port that records every frame of both directions and passes it on to another one.
public final class PcapRecorder: NetPort {
  private let port: NetPort
  public let file: PcapFile

  /// Records what passes between a vif and `port`, on `loop`.
  public init(_ port: NetPort, to file: PcapFile, on loop: EventLoop) {
    self.port = port
    self.file = file
    super.init()
    loop.attach(file)
  }

  public override var capabilities: FrameCapabilities { port.capabilities }
  public override var hasCarrier: Bool { port.hasCarrier }
  public override var keepsRefusedFrames: Bool { port.keepsRefusedFrames }

  public override var traffic: NetPortTraffic? {
    var traffic = port.traffic ?? NetPortTraffic()
    traffic.recording = NetPortTraffic.Recording(
      frames: file.recordedCount, missed: file.missedCount, failure: file.failure.map { "\($0)" })
    return traffic
  }

  public override func connect(_ client: NetPortClient, accepting: FrameCapabilities, queueCount: Int) throws(NetPortError) {
    try port.connect(RecordingPortClient(client, file), accepting: accepting, queueCount: queueCount)
  }

  public override func transmit(_ frame: Frame, queue: Int) -> TransmitOutcome {
    file.record(frame)
    return port.transmit(frame, queue: queue)
  }

  public override func endOfTransmitBatch() { port.endOfTransmitBatch() }
  public override func receiveReady(queue: Int) { port.receiveReady(queue: queue) }
  public override func guestStalled(_ isStalled: Bool) { port.guestStalled(isStalled) }

  public override func disconnect(_ done: @escaping () -> Void) {
    port.disconnect { [file] in file.flush(done) }
  }

  public override func close() {
    port.close()
    file.loop?.detach(file)
  }
}

/// Records what comes for the guest. A frame that the guest could not take and is offered again is recorded when it is taken.
private final class RecordingPortClient: NetPortClient {
  private let client: NetPortClient
  private let file: PcapFile

  init(_ client: NetPortClient, _ file: PcapFile) {
    self.client = client
    self.file = file
  }

  override func transmitted(_ frame: Frame, succeeded: Bool) { client.transmitted(frame, succeeded: succeeded) }

  override func receive(_ frame: Frame, queue: Int) -> ReceiveOutcome {
    let outcome = client.receive(frame, queue: queue)
    if case .delivered = outcome { file.record(frame) }
    return outcome
  }

  override func endOfReceiveBatch() { client.endOfReceiveBatch() }
  override func carrierChanged(isUp: Bool) { client.carrierChanged(isUp: isUp) }
}
