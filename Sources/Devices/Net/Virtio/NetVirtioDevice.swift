public import EventLoop
public import Logging
public import NetEngine
public import NetPackets
public import VhostUser
public import VirtioInterface
public import VirtioRing
import SharedMemory
public import SharedRing
import XenInterface

/// A network interface for a VMM: virtio-net on a ``NetPort``.
///
/// ```swift
/// let device = NetVirtioDevice(port: port, loop: loop, settings: NetVirtioDevice.Settings(queuePairCount: 2), logger: logger)
/// let server = try VhostUserServer(device, listeningAt: path, logger: logger) { _ in }
/// ```
/// Queue 2n takes frames for the guest, queue 2n+1 those that it sends (virtio 1.2, 5.1.2). The control queue is the VMM's: none of them
/// passes it on. Belongs to the loop; every call on its thread.
public final class NetVirtioDevice: VhostUserDevice {
  public struct Settings: Sendable {
    /// Most pairs of queues to offer.
    public var queuePairCount = 1
    /// What the guest is told to be, where the VMM does not say.
    public var address: MACAddress?
    public var mtu: Int?
    /// What the guest may send.
    public var rate: RateLimit?
    public var polling = PollingPolicy.standard

    public init() {}
  }

  private let plane: NetVirtioPlane
  private let settings: Settings
  private let port: NetPort

  public init(port: NetPort, loop: EventLoop, settings: Settings = Settings(), logger: Logger = Logger(label: "net.vhost-user")) {
    self.port = port
    self.settings = settings
    plane = NetVirtioPlane(port: port, pairCount: settings.queuePairCount, rate: settings.rate, polling: settings.polling, logger: logger)
    super.init(loop: loop)
    plane.onCarrier = { [weak self] in self?.notifyConfigurationChange?() }
    loop.attach(plane)
  }

  public override var features: VirtioFeatures {
    // After a migration the guest says by itself where it is: the VMM asks it to, and sends nothing in its name.
    var features: VirtioNetFeatures = [
      .mergeableReceiveBuffers, .status, .guestChecksum, .guestTCPv4, .guestTCPv6, .guestUDPSegmentsIPv4, .guestUDPSegmentsIPv6, .guestAnnounce,
    ]
    let capabilities = port.capabilities
    if capabilities.isSuperset(of: [.checksumV4, .checksumV6]) {
      features.insert(.checksum)
      if capabilities.contains(.segmentationV4) { features.insert(.hostTCPv4) }
      if capabilities.contains(.segmentationV6) { features.insert(.hostTCPv6) }
      if capabilities.isSuperset(of: .datagrams) { features.insert(.hostUDPSegments) }
    }
    if settings.queuePairCount > 1 { features.insert(.multipleQueues) }
    if settings.address != nil { features.insert(.address) }
    if settings.mtu != nil { features.insert(.mtu) }
    // Frames come and go in order anyway: nothing is held back for it. A disk's requests do not, so disks do not offer it.
    return VirtioFeatures(rawValue: features.rawValue).union(.inOrder)
  }

  public override var protocolFeatures: VhostUserFeatures { .mtu }
  public override var queueCount: Int { settings.queuePairCount * 2 }

  public override var configuration: [UInt8] {
    var space = VirtioNetConfiguration()
    if let address = settings.address {
      for index in 0..<6 { space.setAddress(UInt8(truncatingIfNeeded: address.rawValue >> (40 - index * 8)), at: index) }
    }
    space.status = port.hasCarrier ? VirtioNetStatus.linkUp.rawValue : 0
    space.queuePairCountMaximum = UInt16(settings.queuePairCount)
    space.mtu = UInt16(settings.mtu ?? 1500)
    return WireBytes(space).bytes
  }

  /// A port has one packet size, which is as large as the interface behind it.
  public override func setMTU(_ mtu: UInt64) -> Bool { (68...65517).contains(mtu) }

  public override func started(_ queue: VhostUserQueue) { plane.started(queue) }
  public override func stop(_ queue: VhostUserQueue, done: @escaping () -> Void) { plane.stop(queue, done: done) }
  public override func memoryChanged(_ memory: GuestMemory) { plane.memory = memory }

  /// Puts another limit in force; nil: none.
  public func setRate(_ rate: RateLimit?) { plane.setRate(rate) }

  /// What has passed, and what is going on.
  public var status: NetVirtioStatus { plane.status }

  /// Leaves the loop, and closes the port. No queue may be running.
  public func close() {
    plane.close()
    port.close()
  }
}
