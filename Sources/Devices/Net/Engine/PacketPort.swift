public import EventLoop
import LinuxSystem
public import NetPackets
public import NetTap

/// A port with an interface of the host behind it, through a packet socket: what a switch is connected to the outside with.
///
/// What comes for the interface's own address is the host's and not handed over, and what the host itself sends there is not seen: the host
/// and those behind the port do not reach each other, as with macvlan. What is left to do on a frame is passed through untouched.
public final class PacketPort: NetPort {
  private let loop: EventLoop
  /// Nil once closed.
  private var interface: PacketInterface?
  private var watch: DescriptorWatch?
  private let queue: PacketPortQueue
  private let name: String
  private var isUp = false
  private enum Phase { case idle, connected, disconnecting }
  private var phase = Phase.idle
  /// Frames of the guest whose headers contradict what is to be done with them.
  private var malformedFrames: UInt64 = 0
  /// Frames that came faster than they were taken from the socket.
  private var overrunFrames: UInt64 = 0

  public init(_ interface: PacketInterface, on loop: EventLoop) {
    name = interface.name.description
    self.loop = loop
    self.interface = interface
    queue = PacketPortQueue(interface.queue, hostAddress: interface.address)
    super.init()
    isUp = interface.report()?.hasCarrier ?? false
    watch = loop.watchDescriptor(interface.eventDescriptor, for: .readable) { [weak self] _ in self?.linkChanged() }
  }

  // Without datagrams: whether the kernel takes them (Linux 6.2) cannot be asked of a packet socket.
  public override var capabilities: FrameCapabilities { .all }
  public override var hasCarrier: Bool { isUp }
  public override var keepsRefusedFrames: Bool { true }

  public override var traffic: NetPortTraffic? {
    overrunFrames &+= interface?.takeDroppedCount() ?? 0
    var traffic = NetPortTraffic(drops: ["malformed": malformedFrames, "overrun": overrunFrames])
    traffic.add(queue.queue.statistics)
    traffic.delivered.frames &-= queue.forHost.frames
    traffic.delivered.bytes &-= queue.forHost.bytes
    return traffic
  }

  // MARK: Life

  public override func connect(_ client: NetPortClient, accepting: FrameCapabilities, queueCount: Int) throws(NetPortError) {
    guard phase == .idle, let interface else { throw .busy("interface \(name)") }
    // The kernel leaves to do what it likes; checksums that the client does not take are completed by the queue.
    guard accepting.isSuperset(of: [.scatterGather, .segmentationV4, .segmentationV6]) else {
      throw .failed("interface \(name) may deliver large segments, which this guest does not take; connect it through a switch")
    }
    interface.setCapabilities(accepting)
    phase = .connected
    self.client = client
    queue.start(client, on: loop)
  }

  public override func disconnect(_ done: @escaping () -> Void) {
    guard phase == .connected else { return done() }
    phase = .disconnecting
    client = nil
    queue.stop { [self] in
      phase = .idle
      done()
    }
  }

  public override func close() {
    precondition(phase == .idle, "a port is closed while a vif is connected to it")
    watch?.cancel()
    watch = nil
    interface?.close()
    interface = nil
  }

  /// Something has changed in the interface's namespace.
  private func linkChanged() {
    guard let interface else { return }
    interface.takeEvents()
    let wasUp = isUp
    isUp = interface.report()?.hasCarrier ?? false
    if isUp != wasUp { client?.carrierChanged(isUp: isUp) }
  }

  // MARK: Frames

  public override func transmit(_ frame: Frame, queue number: Int) -> TransmitOutcome {
    guard frame.offload.checksumStart != 0 || frame.locateChecksum() else {
      malformedFrames &+= 1
      return .dropped
    }
    switch queue.queue.transmit(frame) {
    case .done: return .done
    case .pending: return .pending
    case .dropped: return .dropped
    }
  }

  public override func receiveReady(queue number: Int) { queue.queue.resume() }
}

/// Leaves the host what is for the host.
private final class PacketPortQueue: TapPortQueue {
  private let hostAddress: MACAddress
  private(set) var forHost = NetPortTraffic.Count()

  init(_ queue: TapQueue, hostAddress: MACAddress) {
    self.hostAddress = hostAddress
    super.init(queue)
  }

  override func received(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome {
    guard frame.destination != hostAddress else {
      forHost.add(byteCount)
      return .taken
    }
    return super.received(frame, byteCount: byteCount, offload: offload, on: queue)
  }
}
