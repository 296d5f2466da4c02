public import EventLoop
public import LinuxSystem
public import NetPackets
public import NetTap

/// A port with a TAP interface behind it: queue i of the vif is queue i of the interface, and what is left to do on a frame is passed
/// through untouched.
///
/// ```swift
/// let tap = try TapInterface.open(configuration)     // may block: not on a loop that serves others
/// let port = try TapPort(tap, guestAddress: address, on: loop)
/// ```
/// While no guest is connected, or it takes no frames, the interface has no carrier: its users see a cable that is not plugged in.
public final class TapPort: NetPort {
  private let loop: EventLoop
  /// Nil once closed.
  private var tap: TapInterface?
  private var watch: DescriptorWatch?
  private let queues: [TapPortQueue]
  private let name: String
  private var isUp: Bool
  private enum Phase { case idle, connected, disconnecting }
  private var phase = Phase.idle
  private var activeQueueCount = 0
  /// Frames of the guest that are not passed on because their headers contradict what is to be done with them.
  public private(set) var malformedFrames: UInt64 = 0

  /// - Parameter guestAddress: the address of the guest's end, if known, which must not be that of the interface itself.
  /// - Throws: when the addresses clash, or the interface cannot be looked at.
  public init(_ tap: TapInterface, guestAddress: MACAddress? = nil, on loop: EventLoop) throws(NetPortError) {
    name = tap.name.description
    if let guestAddress, guestAddress == tap.address {
      throw .failed(TapError.addressClash(name: name, address: guestAddress.description).description)
    }
    self.loop = loop
    self.tap = tap
    do { isUp = try tap.report().isUp } catch { throw .failed(error.description) }
    queues = tap.queues.map { TapPortQueue($0) }
    super.init()
    for queue in queues { queue.onRemoved = { [weak self] in self?.linkChanged() } }
    watch = loop.watchDescriptor(tap.eventDescriptor, for: .readable) { [weak self] _ in self?.linkChanged() }
  }

  public override var capabilities: FrameCapabilities { tap?.passesDatagrams == true ? .all.union(.datagrams) : .all }
  public override var hasCarrier: Bool { isUp }
  public override var keepsRefusedFrames: Bool { true }

  /// Largest packet that the interface's users send, behind the Ethernet header, in bytes: what the guest's `mtu` should be.
  public var mtu: Int { tap?.mtu ?? 0 }
  /// Queues of the interface: as many as a guest can use.
  public var queueCount: Int { queues.count }
  /// What each queue has done.
  public var statistics: [TapQueueStatistics] { queues.map(\.queue.statistics) }
  /// The interface as the kernel describes it, with its own counters; nil when it is gone.
  public var report: NetworkLink? { tap.flatMap { try? $0.report() } }

  public override var traffic: NetPortTraffic? {
    var traffic = NetPortTraffic(drops: ["malformed": malformedFrames])
    for statistics in statistics { traffic.add(statistics) }
    return traffic
  }

  // MARK: Life

  public override func connect(_ client: NetPortClient, accepting: FrameCapabilities, queueCount: Int) throws(NetPortError) {
    guard phase == .idle, let tap else { throw .busy("TAP interface \(name)") }
    activeQueueCount = max(1, min(queueCount, queues.count))
    do throws(TapError) {
      try tap.setOffloads(passedOnBy: accepting)
      try tap.setActiveQueueCount(activeQueueCount)
      try tap.setCarrier(true)
    } catch {
      throw .failed(error.description)
    }
    phase = .connected
    self.client = client
    for queue in queues.prefix(activeQueueCount) { queue.start(client, on: loop) }
  }

  public override func disconnect(_ done: @escaping () -> Void) {
    guard phase == .connected else { return done() }
    phase = .disconnecting
    client = nil
    // Fails only when the interface is gone.
    try? tap?.setCarrier(false)
    var left = activeQueueCount
    for queue in queues.prefix(activeQueueCount) {
      queue.stop { [self] in
        left -= 1
        guard left == 0 else { return }
        phase = .idle
        done()
      }
    }
  }

  public override func close() {
    precondition(phase == .idle, "a port is closed while a vif is connected to it")
    watch?.cancel()
    watch = nil
    tap?.close()
    tap = nil
  }

  public override func guestStalled(_ isStalled: Bool) {
    if phase == .connected { try? tap?.setCarrier(!isStalled) }
  }

  /// Something has changed in the interface's namespace: somebody may have switched it on or off, or removed it.
  func linkChanged() {
    guard let tap else { return }
    tap.takeEvents()
    let wasUp = isUp
    isUp = (try? tap.report())?.isUp ?? false
    if isUp != wasUp { client?.carrierChanged(isUp: isUp) }
  }

  // MARK: Frames

  public override func transmit(_ frame: Frame, queue: Int) -> TransmitOutcome {
    activeQueueCount > 0 ? transmit(frame, on: tapQueue(queue)) : refuse()
  }

  public override func transmit(_ batch: FrameBatch, queue: Int) {
    guard activeQueueCount > 0 else {
      for index in 0..<batch.count { batch.setOutcome(refuse(), of: index) }
      return
    }
    let tapQueue = self.tapQueue(queue)
    for index in 0..<batch.count { batch.setOutcome(batch.withFrame(index) { transmit($0, on: tapQueue) }, of: index) }
  }

  /// Where frames of the guest's queue go, while there is a guest.
  private func tapQueue(_ number: Int) -> TapQueue { queues[number < activeQueueCount ? number : number % activeQueueCount].queue }

  @inline(__always) private func transmit(_ frame: Frame, on queue: TapQueue) -> TransmitOutcome {
    guard frame.offload.checksumStart != 0 || frame.locateChecksum() else { return refuse() }
    switch queue.transmit(frame, through: loop) {
    case .done: return .done
    case .pending: return .pending
    case .dropped: return .dropped
    }
  }

  private func refuse() -> TransmitOutcome {
    malformedFrames &+= 1
    return .dropped
  }

  public override func receiveReady(queue: Int) {
    if queue < activeQueueCount { queues[queue].queue.resume() }
  }
}

/// One queue of the interface on its way to the guest's queue of the same number.
class TapPortQueue: TapQueueClient {
  let queue: TapQueue
  /// The interface was removed by somebody else.
  var onRemoved: (() -> Void)?
  /// Held while connected, so that a frame costs no look-up of a weak reference.
  private var client: NetPortClient?

  init(_ queue: TapQueue) { self.queue = queue }

  func start(_ client: NetPortClient, on loop: EventLoop) {
    self.client = client
    queue.start(self, on: loop)
  }

  func stop(_ done: @escaping () -> Void) {
    queue.stop { [self] in
      client = nil
      done()
    }
  }

  override func received(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome {
    guard let client else { return .dropped }
    switch client.receive(frame, queue: queue.index) {
    case .delivered: return .taken
    case .full: return .full
    case .dropped: return .dropped
    }
  }

  override func endOfReceiveBatch(on queue: TapQueue) { client?.endOfReceiveBatch() }
  override func transmitted(_ frame: Frame, succeeded: Bool, on queue: TapQueue) { client?.transmitted(frame, succeeded: succeeded) }
  override func interfaceRemoved(on queue: TapQueue) { onRemoved?() }
}

extension NetPortTraffic {
  mutating func add(_ queue: TapQueueStatistics) {
    taken.frames &+= queue.sentFrames
    taken.bytes &+= queue.sentByteCount
    delivered.frames &+= queue.receivedFrames
    delivered.bytes &+= queue.receivedByteCount
    for reason in TapDrop.allCases where queue.drops(reason) > 0 { drops[reason.name, default: 0] &+= queue.drops(reason) }
  }
}

extension TapDrop {
  /// In `status`, with the direction where it is not plain from the reason.
  fileprivate var name: String {
    switch self {
    case .refused: "refused_by_guest"
    case .stopped: "kept_until_disconnected"
    case .malformed: "malformed_for_guest"
    case .unreadable: "unreadable"
    case .interfaceDown: "interface_down"
    case .tooMany: "too_many_in_flight"
    case .unsendable: "unsendable"
    case .notRunning: "not_running"
    case .failed: "failed"
    }
  }
}
