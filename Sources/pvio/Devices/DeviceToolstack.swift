import NetPackets
import NetTap
import PVDriver
import XenInterface
import XenStoreClient
import Xenbus

/// What the user asked for, of either kind.
enum DeviceSpec: Sendable {
  case disk(DiskSpec)
  case net(NetSpec)

  var kind: DeviceKind {
    switch self {
    case .disk: .disk
    case .net: .net
    }
  }

  /// The name under the run directory that was asked for.
  var id: String? {
    get {
      switch self {
      case .disk(let spec): spec.id
      case .net(let spec): spec.id
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
      }
    }
  }

  /// As the user wrote it.
  var text: String {
    switch self {
    case .disk(let spec): spec.text
    case .net(let spec): spec.text
    }
  }

  /// The device is for a VMM, which comes to a vhost-user socket instead of to rings that the store tells of.
  var isForVMM: Bool {
    switch self {
    case .disk(let spec): spec.export == .vhostUser
    case .net(let spec): spec.export == .vhostUser
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
    case .disk, .net: break
    }
  }

  /// Most queues to offer.
  var queueCount: Int {
    switch self {
    case .disk(let spec): spec.queueCount
    case .net(let spec): spec.queueCount
    }
  }

  /// What people see as the device's source.
  var source: String {
    switch self {
    case .disk(let spec): spec.parameters
    case .net(let spec): spec.connection
    }
  }
}

/// Writes a device's directories as libxl does (`libxl_disk.c`, `libxl_nic.c`).
enum DeviceToolstack {
  /// Makes the directories of both ends unless the device is attached already: for a back-end that is started by hand.
  /// Returns whether they were made.
  static func createUnlessThere(_ address: DeviceAddress, _ spec: DeviceSpec, _ store: XenStoreClient) async throws -> Bool {
    if try await store.exists("\(address.paths.backend)/state") { return false }
    try await create(address, spec, store)
    return true
  }

  /// Makes the directories of both ends; fails when the device is attached already.
  static func create(_ address: DeviceAddress, _ spec: DeviceSpec, _ store: XenStoreClient) async throws {
    var (frontend, backend) =
      switch spec {
      case .disk(let spec): diskKeys(address, spec)
      case .net(let spec): netKeys(address, spec)
      }
    frontend["trusted"] = "1"
    backend["online"] = "1"
    backend[DeviceAddress.idKey] = address.id
    backend[DeviceSource.specKey] = spec.text
    if spec.isForVMM {
      backend[transportKey] = vhostUser
      backend[queueCountKey] = "\(spec.queueCount)"
    }
    do {
      try await ToolstackDevice(paths: address.paths, store: XenbusClientStore(store)).create(
        frontendKeys: spec.isForVMM ? nil : frontend, backendKeys: backend)
    } catch let error as XenbusError {
      throw CommandFailure("\(error)")
    }
  }

  private static func diskKeys(_ address: DeviceAddress, _ spec: DiskSpec) -> (frontend: [String: String], backend: [String: String]) {
    (
      ["virtual-device": "\(address.device.number)", "device-type": "disk"],
      [
        "removable": "0", "bootable": "1", "dev": address.device.name, "type": "file", "mode": spec.isReadOnly ? "r" : "w",
        "device-type": "disk", "direct-io-safe": spec.usesDirectIO ? "1" : "0", "discard-enable": "1", "params": spec.parameters,
      ]
    )
  }

  private static func netKeys(_ address: DeviceAddress, _ spec: NetSpec) -> (frontend: [String: String], backend: [String: String]) {
    typealias Back = NetifKeys.Backend
    let handle = "\(address.device.number)"
    let mac = "\(spec.mac ?? .generated())"
    var frontend = [NetifKeys.Frontend.handle.name: handle, NetifKeys.Frontend.mac.name: mac]
    frontend[NetifKeys.Frontend.mtu.name] = spec.mtu.map { "\($0)" }
    var backend = [Back.handle.name: handle, Back.mac.name: mac, Back.type.name: "vif", Back.bridge.name: spec.connection]
    backend[Back.rate.name] = spec.rate
    if case .tap(let name) = spec.backing { backend[Back.interfaceName.name] = name.description }
    if let vlan = spec.vlan { backend[vlanKey] = "\(vlan)" }
    backend[trunkKey] = spec.trunk
    if case .virtualSwitch = spec.backing {
      backend[switchKey] = spec.connection
      backend[recordingKey] = spec.recording.map(DiskSpec.inFull)
    }
    return (frontend, backend)
  }

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
