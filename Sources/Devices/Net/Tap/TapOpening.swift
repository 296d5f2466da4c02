import Glibc
import LinuxSystem
import NetPackets
import SystemPackage

/// What opening a TAP interface yields: made by one thread, in the interface's namespace, and used by others.
struct TapOpening: Sendable {
  var queues: [SharedDescriptor]
  /// A `RouteSocket` by number, to be taken over.
  var routeSocket: Int32
  /// `LinkEvents` by number, to be taken over.
  var events: Int32
  var link: NetworkLink
  /// The interface was not there before.
  var wasCreated: Bool
}

extension TapOpening {
  /// Opens the interface's queues, in its namespace.
  init(_ configuration: TapConfiguration) throws(TapError) {
    let name = configuration.name.description
    guard (1...TapConfiguration.maximumQueueCount).contains(configuration.queueCount) else {
      throw .queueCountOutOfRange(name: name, queueCount: configuration.queueCount)
    }
    if let mtu = configuration.mtu, !(68...TapConfiguration.maximumMTU).contains(mtu) { throw .mtuOutOfRange(name: name, mtu: mtu) }
    guard let namespace = configuration.namespace else {
      self = try TapOpening(here: configuration)
      return
    }
    let result: Result<TapOpening, TapError>
    do throws(Errno) {
      result = try namespace.run { () -> Result<TapOpening, TapError> in
        do throws(TapError) { return .success(try TapOpening(here: configuration)) } catch { return .failure(error) }
      }
    } catch {
      switch error {
      case .noSuchFileOrDirectory, .notDirectory: throw .namespaceMissing(namespace)
      case .notPermitted, .permissionDenied: throw .namespaceForbidden(namespace)
      case .invalidArgument: throw .notANamespace(namespace)
      default: throw .system(operation: "enter the network namespace of", name: name, error)
      }
    }
    self = try result.get()
  }

  /// Opens the interface's queues in the calling thread's namespace.
  private init(here configuration: TapConfiguration) throws(TapError) {
    let name = configuration.name.description
    var route = try Self.openRoute(name)
    let events = try Self.openEvents(name)
    let before = try route.find(name)
    let isMultiQueue = try Self.check(before, configuration)

    var queues: [SharedDescriptor] = []
    for _ in 0..<configuration.queueCount {
      let queue = try Self.openQueue()
      do throws(Errno) {
        let isNew = queues.isEmpty && configuration.opening == .create
        try TapDevice.attach(queue, to: name, isMultiQueue: isMultiQueue, exclusively: isNew)
      } catch {
        throw Self.attachError(error, configuration, found: before)
      }
      queues.append(SharedDescriptor(queue))
    }
    guard let link = try route.find(name) else { throw .system(operation: "find", name: name, .noSuchFileOrDirectory) }
    // A multi-queue interface lets everybody in: only now it is certain that nobody else came at the same time.
    if let tun = link.tun, tun.openQueueCount > queues.count { throw .busy(name: name) }
    self.init(queues: queues, routeSocket: route.release(), events: events.release(), link: link, wasCreated: before == nil)
  }

  /// Whether the interface is, or has to be, one with several queues.
  private static func check(_ found: NetworkLink?, _ configuration: TapConfiguration) throws(TapError) -> Bool {
    let name = configuration.name.description
    guard let found else {
      if configuration.opening == .attach { throw .missing(name: name, configuration.namespace) }
      return configuration.queueCount > 1
    }
    if configuration.opening == .create { throw .exists(name: name) }
    guard found.kind == "tun" else { throw .notTap(name: name, kind: found.kind ?? "hardware") }
    if let mtu = configuration.mtu, found.mtu != mtu { throw .mtuMismatch(name: name, mtu: found.mtu, asked: mtu) }
    guard let tun = found.tun else { return configuration.queueCount > 1 }
    guard tun.isTap else { throw .notTap(name: name, kind: "tun") }
    if tun.openQueueCount > 0 { throw .busy(name: name) }
    if configuration.queueCount > 1, !tun.isMultiQueue { throw .notMultiQueue(name: name, queueCount: configuration.queueCount) }
    return tun.isMultiQueue
  }

  private static func openRoute(_ name: String) throws(TapError) -> RouteSocket {
    do { return try RouteSocket() } catch { throw .system(operation: "look for", name: name, error) }
  }

  private static func openEvents(_ name: String) throws(TapError) -> LinkEvents {
    do { return try LinkEvents() } catch { throw .system(operation: "watch", name: name, error) }
  }

  private static func openQueue() throws(TapError) -> OwnedDescriptor {
    do throws(Errno) {
      return try TapDevice.open()
    } catch {
      switch error {
      case .noSuchFileOrDirectory, .noSuchAddressOrDevice, .operationNotSupportedByDevice: throw .deviceMissing
      case .notPermitted, .permissionDenied: throw .deviceForbidden
      default: throw .system(operation: "open \(TapDevice.path) for", name: "", error)
      }
    }
  }

  private static func attachError(_ errno: Errno, _ configuration: TapConfiguration, found: NetworkLink?) -> TapError {
    let name = configuration.name.description
    switch errno {
    case .notPermitted, .permissionDenied: return .notPermitted(name: name)
    case .resourceBusy: return configuration.opening == .create && found == nil ? .exists(name: name) : .busy(name: name)
    case .invalidArgument where configuration.queueCount > 1: return .notMultiQueue(name: name, queueCount: configuration.queueCount)
    default: return .system(operation: "open", name: name, errno)
    }
  }
}

extension NetworkLink.Tun {
  /// As far as the kernel says: it lets nobody else in where it does not.
  fileprivate var openQueueCount: Int { (queueCount ?? 0) + (disabledQueueCount ?? 0) }
}

extension RouteSocket {
  fileprivate mutating func find(_ name: String) throws(TapError) -> NetworkLink? {
    do { return try link(named: name) } catch { throw .system(operation: "look for", name: name, error) }
  }
}
