import DriverCommands
import NetPackets
import NetTap
import PVDriver
import XenInterface
import XenStoreClient
import Xenbus

/// What the user asked for, of any kind.
enum DeviceSpec: AttachableSpec {
  case disk(DiskSpec)
  case net(NetSpec)
  /// A kind whose driver says by itself what it takes.
  case driver(DriverSpec)

  var kind: DeviceKind {
    switch self {
    case .disk: .disk
    case .net: .net
    case .driver(let spec): spec.kind
    }
  }

  /// The name under the run directory that was asked for.
  var id: String? {
    get {
      switch self {
      case .disk(let spec): spec.id
      case .net(let spec): spec.id
      case .driver(let spec): spec.id
      }
    }
    set {
      switch self {
      case .disk(var spec):
        spec.id = newValue
        self = .disk(spec)
      case .net(var spec):
        spec.id = newValue
        self = .net(spec)
      case .driver: preconditionFailure("a driver's device is given its id in its text")
      }
    }
  }

  /// As the user wrote it.
  var text: String {
    switch self {
    case .disk(let spec): spec.text
    case .net(let spec): spec.text
    case .driver(let spec): spec.text
    }
  }

  var option: String {
    switch self {
    case .disk, .net: kind.name
    case .driver(let spec): spec.option
    }
  }

  /// The device is for a VMM, which comes to a vhost-user socket instead of to rings that the store tells of.
  var isForVMM: Bool {
    switch self {
    case .disk(let spec): spec.export == .vhostUser
    case .net(let spec): spec.export == .vhostUser
    case .driver: false
    }
  }

  /// Makes it one for a VMM, unless its user has said how it is to be reached.
  mutating func preferVMM() {
    switch self {
    case .disk(var spec) where spec.export == nil:
      spec.export = .vhostUser
      spec.text += ",export=vhost-user"
      self = .disk(spec)
    case .net(var spec) where spec.export == nil:
      spec.export = .vhostUser
      spec.text += ",export=vhost-user"
      self = .net(spec)
    case .disk, .net, .driver: break
    }
  }

  /// Most queues to offer.
  var queueCount: Int {
    switch self {
    case .disk(let spec): spec.queueCount
    case .net(let spec): spec.queueCount
    case .driver: 1
    }
  }

  /// What people see as the device's source.
  var source: String {
    switch self {
    case .disk(let spec): spec.parameters
    case .net(let spec): spec.connection
    case .driver(let spec): spec.text
    }
  }

  /// As libxl writes them (`libxl_disk.c`, `libxl_nic.c`).
  func keys(of address: DeviceAddress) -> (frontend: [String: String]?, backend: [String: String]) {
    var (frontend, backend): ([String: String]?, [String: String]) =
      switch self {
      case .disk(let spec): Self.diskKeys(address, spec)
      case .net(let spec): Self.netKeys(address, spec)
      case .driver(let spec): spec.keys(of: address)
      }
    if isForVMM {
      frontend = nil
      backend[DeviceToolstack.transportKey] = DeviceToolstack.vhostUser
      backend[DeviceToolstack.queueCountKey] = "\(queueCount)"
    }
    return (frontend, backend)
  }
}

extension DeviceSpec {
  private static func diskKeys(_ address: DeviceAddress, _ spec: DiskSpec) -> (frontend: [String: String]?, backend: [String: String]) {
    (
      ["virtual-device": "\(address.device.number)", "device-type": "disk"],
      [
        "removable": "0", "bootable": "1", "dev": address.device.name, "type": "file", "mode": spec.isReadOnly ? "r" : "w",
        "device-type": "disk", "direct-io-safe": spec.usesDirectIO ? "1" : "0", "discard-enable": "1", "params": spec.parameters,
      ]
    )
  }

  private static func netKeys(_ address: DeviceAddress, _ spec: NetSpec) -> (frontend: [String: String]?, backend: [String: String]) {
    typealias Back = NetifKeys.Backend
    let handle = "\(address.device.number)"
    let mac = "\(spec.mac ?? .generated())"
    var frontend = [NetifKeys.Frontend.handle.name: handle, NetifKeys.Frontend.mac.name: mac]
    frontend[NetifKeys.Frontend.mtu.name] = spec.mtu.map { "\($0)" }
    var backend = [Back.handle.name: handle, Back.mac.name: mac, Back.type.name: "vif", Back.bridge.name: spec.connection]
    backend[Back.rate.name] = spec.rate
    if case .tap(let name) = spec.backing { backend[Back.interfaceName.name] = name.description }
    if let vlan = spec.vlan { backend[DeviceToolstack.vlanKey] = "\(vlan)" }
    backend[DeviceToolstack.trunkKey] = spec.trunk
    if case .virtualSwitch = spec.backing {
      backend[DeviceToolstack.switchKey] = spec.connection
      backend[DeviceToolstack.recordingKey] = spec.recording.map(DiskSpec.inFull)
    }
    return (frontend, backend)
  }
}

extension DeviceToolstack {
  /// Key of ours: how the device's user comes to it, where that is not by rings that the store tells of.
  static let transportKey = "pvio-transport"
  static let vhostUser = "vhost-user"
  /// Key of ours: most queues to offer to a VMM.
  static let queueCountKey = "pvio-queues"
  /// Key of ours: how often the back-end was started again after it had ended while it should not.
  static let restartsKey = "pvio-restarts"
  /// Keys of ours for the process of a switch: which one, the VLAN of the port or those of a trunk, and the file that is recorded to.
  static let switchKey = "pvio-switch"
  static let vlanKey = "pvio-vlan"
  static let trunkKey = "pvio-trunk"
  static let recordingKey = "pvio-pcap"
}
