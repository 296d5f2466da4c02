public import LinuxSystem
public import SystemPackage

/// Why a TAP interface cannot be had: one line that names it and says what to do.
public enum TapError: Error, Sendable, Equatable {
  /// `/dev/net/tun` is not there.
  case deviceMissing
  /// `/dev/net/tun` may not be opened.
  case deviceForbidden
  case namespaceMissing(NetworkNamespace)
  case namespaceForbidden(NetworkNamespace)
  /// The file stands for something else.
  case notANamespace(NetworkNamespace)
  /// Making or using the interface takes a privilege.
  case notPermitted(name: String)
  /// There is no such interface, and none was to be made.
  case missing(name: String, NetworkNamespace?)
  /// There is such an interface, and a new one was asked for.
  case exists(name: String)
  /// Another program has its queues open.
  case busy(name: String)
  /// There is an interface of this name, which is no TAP interface; `kind` is what the kernel calls it.
  case notTap(name: String, kind: String)
  case notMultiQueue(name: String, queueCount: Int)
  case queueCountOutOfRange(name: String, queueCount: Int)
  case mtuOutOfRange(name: String, mtu: Int)
  /// The interface was there before, with another MTU than was asked for.
  case mtuMismatch(name: String, mtu: Int, asked: Int)
  /// The device behind the interface is to have the address that the interface has itself.
  case addressClash(name: String, address: String)
  case system(operation: String, name: String, Errno)
}

extension TapError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .deviceMissing: "\(TapDevice.path) does not exist; load the driver with 'modprobe tun', or give the container the device"
    case .deviceForbidden: "\(TapDevice.path) may not be opened by this user; run as root, or change its permissions"
    case .namespaceMissing(let namespace):
      "network namespace \(namespace) does not exist (\(namespace.path)); create it first with 'ip netns add'"
    case .namespaceForbidden(let namespace): "network namespace \(namespace) may not be entered by this user; run as root"
    case .notANamespace(let namespace): "\(namespace.path) is not a network namespace"
    case .notPermitted(let name):
      "TAP interface \(name) may not be used by this user; run as root, or have root create it with 'ip tuntap add \(name) mode tap user NAME'"
    case .missing(let name, let namespace):
      "TAP interface \(name) does not exist\(namespace.map { " in network namespace \($0)" } ?? ""); create it with 'ip tuntap add \(name) mode tap'"
    case .exists(let name): "there is an interface \(name) already; choose another name, or remove it with 'ip link delete \(name)'"
    case .busy(let name): "TAP interface \(name) is in use by another program; end that first, or choose another name"
    case .notTap(let name, let kind): "\(name) is not a TAP interface but of kind \(kind); choose another name"
    case .notMultiQueue(let name, let count):
      "TAP interface \(name) has one queue only and \(count) were asked for; use queues=1, or create it with 'ip tuntap add \(name) mode tap multi_queue'"
    case .queueCountOutOfRange(let name, let count):
      "TAP interface \(name) cannot have \(count) queues; use 1 to \(TapConfiguration.maximumQueueCount)"
    case .mtuOutOfRange(let name, let mtu): "TAP interface \(name) cannot have an MTU of \(mtu); use 68 to \(TapConfiguration.maximumMTU)"
    case .mtuMismatch(let name, let mtu, let asked):
      "TAP interface \(name) has an MTU of \(mtu) and \(asked) was asked for; set it with 'ip link set \(name) mtu \(asked)', or use mtu=\(mtu)"
    case .addressClash(let name, let address):
      "TAP interface \(name) itself has the address \(address); give the device another one with mac="
    case .system(let operation, let name, let errno): "\(operation) TAP interface \(name): \(errno)"
    }
  }
}
