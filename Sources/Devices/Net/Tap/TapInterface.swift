public import LinuxSystem
public import NetPackets
import SystemPackage

/// An open TAP interface: its settings. Its frames go through ``queues``.
///
/// ```swift
/// var configuration = TapConfiguration(InterfaceName("vif1.0")!)
/// configuration.queueCount = 2
/// let tap = try TapInterface.open(configuration)
/// try tap.setOffloads([.checksum, .segmentationV4, .segmentationV6])
/// try tap.setCarrier(true)
/// ```
/// One user at a time. Opening may block for a moment; the settings do not.
public final class TapInterface {
  public let name: InterfaceName
  /// The interface was not there before, and goes away when it is closed unless it was made persistent.
  public let wasCreated: Bool
  /// Largest packet behind the Ethernet header in bytes, as it was when the interface was opened or set since.
  public private(set) var mtu: Int
  /// The interface's own address: what the host sends from.
  public private(set) var address: MACAddress?
  /// One per queue of the interface.
  public let queues: [TapQueue]
  /// What frames that are read may still have to be done to.
  public private(set) var offloads: TapDevice.Offloads = []
  /// Whether the kernel takes and hands over frames of several UDP datagrams (Linux 6.2).
  public private(set) var passesDatagrams = false

  private var route: RouteSocket
  private let events: LinkEvents
  private let index: Int32
  private var descriptors: [SharedDescriptor]

  /// Opens the interface, or makes it: without carrier, and with nothing left to do on what is read.
  public static func open(_ configuration: TapConfiguration, tuning: TapTuning = TapTuning()) throws(TapError) -> sending TapInterface {
    let tap = TapInterface(try TapOpening(configuration), configuration.name, tuning)
    try tap.setUp(configuration)
    return tap
  }

  private init(_ opening: TapOpening, _ name: InterfaceName, _ tuning: TapTuning) {
    self.name = name
    wasCreated = opening.wasCreated
    mtu = opening.link.mtu
    address = MACAddress(bytes: opening.link.address)
    index = opening.link.index
    descriptors = opening.queues
    route = RouteSocket(owning: opening.routeSocket)
    events = LinkEvents(owning: opening.events)
    queues = opening.queues.enumerated().map { TapQueue($1, index: $0, tuning: tuning) }
  }

  private func setUp(_ configuration: TapConfiguration) throws(TapError) {
    do throws(Errno) {
      try TapDevice.setHeader(byteCount: TapQueue.headerByteCount, descriptors[0].descriptor)
      // Nothing but the kernel's answer says whether it knows them.
      passesDatagrams = (try? TapDevice.setOffloads([.checksum, .datagrams], descriptors[0].descriptor)) != nil
      try TapDevice.setOffloads([], descriptors[0].descriptor)
      try TapDevice.setCarrier(false, descriptors[0].descriptor)
      if let isPersistent = configuration.isPersistent { try TapDevice.setPersistent(isPersistent, descriptors[0].descriptor) }
    } catch {
      throw failure("set up", error)
    }
    // Only what differs: a user who may open the interface need not be allowed to change it.
    if let mtu = configuration.mtu, mtu != self.mtu { try setMTU(mtu) }
    if let address = configuration.address, address != self.address { try setAddress(address) }
    if configuration.isBroughtUp, try report().isUp == false { try setUp(true) }
  }

  /// Closes the queues, which must be stopped: an interface that was made and not persistent goes away. Nothing else may be called afterwards.
  public func close() {
    for queue in queues { queue.close() }
    descriptors = []
  }

  private func failure(_ operation: String, _ errno: Errno) -> TapError {
    errno == .notPermitted ? .notPermitted(name: name.description) : .system(operation: operation, name: name.description, errno)
  }
}

// MARK: - Settings

extension TapInterface {
  /// What the kernel may leave to do on frames for ``queues``. What it takes from them is always all of that.
  public func setOffloads(_ offloads: TapDevice.Offloads) throws(TapError) {
    do { try TapDevice.setOffloads(offloads, descriptors[0].descriptor) } catch { throw failure("set the offloads of", error) }
    self.offloads = offloads
  }

  /// Plugs the cable in, or pulls it, as the interface's users see it.
  public func setCarrier(_ isUp: Bool) throws(TapError) {
    do { try TapDevice.setCarrier(isUp, descriptors[0].descriptor) } catch { throw failure("set the carrier of", error) }
  }

  /// Lets the kernel use only the first `count` queues: frames would wait for ever in others that nobody serves.
  public func setActiveQueueCount(_ count: Int) throws(TapError) {
    precondition((1...queues.count).contains(count), "queues that the interface does not have")
    guard queues.count > 1 else { return }
    for (index, descriptor) in descriptors.enumerated() {
      do throws(Errno) {
        try TapDevice.setAttached(index < count, descriptor.descriptor)
      } catch {
        // EINVAL: it is so already.
        if error != .invalidArgument { throw failure("set the queues of", error) }
      }
    }
  }

  /// Switches the interface on or off.
  public func setUp(_ isUp: Bool) throws(TapError) { try change(RouteSocket.Change(isUp: isUp), "switch on") }

  public func setMTU(_ mtu: Int) throws(TapError) {
    try change(RouteSocket.Change(mtu: mtu), "set the MTU of")
    self.mtu = mtu
  }

  public func setAddress(_ address: MACAddress) throws(TapError) {
    try change(RouteSocket.Change(address: address.bytes), "set the address of")
    self.address = address
  }

  private func change(_ change: RouteSocket.Change, _ operation: String) throws(TapError) {
    do { try route.change(change, at: index) } catch { throw failure(operation, error) }
  }

  /// Readable when an interface of the namespace has changed, until ``takeEvents()``; ``report()`` says how this one is now.
  public var eventDescriptor: Int32 { events.descriptor }

  public func takeEvents() { events.take() }

  /// The interface as the kernel describes it now, with its counters.
  public func report() throws(TapError) -> NetworkLink {
    do throws(Errno) {
      if let link = try route.link(at: index) { return link }
    } catch {
      throw failure("look at", error)
    }
    throw .missing(name: name.description, nil)
  }
}

extension MACAddress {
  /// Nil unless there are six bytes.
  init?(bytes: [UInt8]) {
    guard bytes.count == 6 else { return nil }
    self.init(rawValue: bytes.reduce(0) { $0 << 8 | UInt64($1) })
  }

  /// The six bytes, in the order in which they are sent.
  var bytes: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: rawValue >> UInt64(40 - $0 * 8)) } }
}
