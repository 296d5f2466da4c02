public import LinuxSystem
public import NetPackets
public import SystemPackage

/// An interface of the host, used through a packet socket: every frame that comes there, and frames to be sent there.
///
/// It stays the host's: it keeps its addresses and its state. Frames go through ``queue``. One user at a time; opening may block for a moment.
public final class PacketInterface {
  public let name: InterfaceName
  public let queue: TapQueue
  /// Largest packet behind the Ethernet header in bytes, when it was opened.
  public let mtu: Int
  /// The interface's own address, which the host sends from.
  public let address: MACAddress

  private var route: RouteSocket
  private let events: LinkEvents
  private let index: Int32
  private var descriptor: SharedDescriptor?

  /// - Parameter namespace: where the interface is; nil: the network namespace of this process.
  public static func open(
    _ name: InterfaceName, in namespace: NetworkNamespace? = nil, tuning: TapTuning = TapTuning()
  ) throws(PacketInterfaceError) -> sending PacketInterface {
    let opening = try PacketOpening(name, in: namespace)
    guard let address = MACAddress(bytes: opening.link.address) else { throw .notEthernet(name: name.description) }
    return PacketInterface(opening, name, address, tuning)
  }

  private init(_ opening: PacketOpening, _ name: InterfaceName, _ address: MACAddress, _ tuning: TapTuning) {
    self.name = name
    self.address = address
    mtu = opening.link.mtu
    index = opening.link.index
    descriptor = opening.socket
    route = RouteSocket(owning: opening.routeSocket)
    events = LinkEvents(owning: opening.events)
    queue = TapQueue(opening.socket, index: 0, tuning: tuning, medium: .packetSocket)
  }

  /// Closes the socket; ``queue`` must be stopped. Nothing else may be called afterwards.
  public func close() {
    queue.close()
    descriptor = nil
  }

  /// Which unfinished checksums whoever takes the frames takes; others are completed by ``queue``.
  public func setCapabilities(_ capabilities: FrameCapabilities) { queue.setCapabilities(capabilities) }

  /// Frames that came while there was no room in the socket, since this was last asked.
  public func takeDroppedCount() -> UInt64 { descriptor.map { PacketSocket.takeDroppedCount($0.descriptor) } ?? 0 }

  /// Readable when an interface of the namespace has changed, until ``takeEvents()``; ``report()`` says how this one is now.
  public var eventDescriptor: Int32 { events.descriptor }

  public func takeEvents() { events.take() }

  /// The interface as the kernel describes it now, with its counters; nil when it is gone.
  public func report() -> NetworkLink? { (try? route.link(at: index)) ?? nil }
}

/// Why an interface of the host cannot be used: one line that names it and says what to do.
public enum PacketInterfaceError: Error, Sendable, Equatable {
  case missing(name: String, NetworkNamespace?)
  /// It has no Ethernet address.
  case notEthernet(name: String)
  /// A packet socket takes a privilege.
  case notPermitted(name: String)
  case namespace(NetworkNamespace, Errno)
  case system(operation: String, name: String, Errno)
}

extension PacketInterfaceError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .missing(let name, let namespace):
      "interface \(name) does not exist\(namespace.map { " in network namespace \($0)" } ?? ""); 'ip link' lists those that do"
    case .notEthernet(let name): "interface \(name) is no Ethernet interface; choose another one"
    case .notPermitted(let name): "interface \(name) may not be used by this user; run as root, or with CAP_NET_RAW"
    case .namespace(let namespace, let errno): "network namespace \(namespace) cannot be entered (\(namespace.path)): \(errno)"
    case .system(let operation, let name, let errno): "cannot \(operation) interface \(name): \(errno)"
    }
  }
}

/// What opening yields: made by one thread, in the interface's namespace, and used by others.
private struct PacketOpening: Sendable {
  var socket: SharedDescriptor
  /// A `RouteSocket` by number, to be taken over.
  var routeSocket: Int32
  /// `LinkEvents` by number, to be taken over.
  var events: Int32
  var link: NetworkLink

  init(_ name: InterfaceName, in namespace: NetworkNamespace?) throws(PacketInterfaceError) {
    guard let namespace else {
      self = try PacketOpening(here: name, in: nil)
      return
    }
    let result: Result<PacketOpening, PacketInterfaceError>
    do throws(Errno) {
      result = try namespace.run { () -> Result<PacketOpening, PacketInterfaceError> in
        do throws(PacketInterfaceError) { return .success(try PacketOpening(here: name, in: namespace)) } catch { return .failure(error) }
      }
    } catch {
      throw .namespace(namespace, error)
    }
    self = try result.get()
  }

  /// In the calling thread's namespace.
  private init(here interface: InterfaceName, in namespace: NetworkNamespace?) throws(PacketInterfaceError) {
    let name = interface.description
    do throws(Errno) {
      var route = try RouteSocket()
      let events = try LinkEvents()
      guard let link = try route.link(named: name) else { throw Errno.noSuchAddressOrDevice }
      socket = SharedDescriptor(try PacketSocket.open(interface: link.index))
      self.link = link
      routeSocket = route.release()
      self.events = events.release()
    } catch {
      switch error {
      case .noSuchAddressOrDevice, .operationNotSupportedByDevice: throw .missing(name: name, namespace)
      case .notPermitted, .permissionDenied: throw .notPermitted(name: name)
      default: throw .system(operation: "open a packet socket on", name: name, error)
      }
    }
  }
}
