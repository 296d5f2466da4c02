import DriverCommands
import LinuxSystem
import PVDriver

/// One device of `pvio run`, its processes, and how it is reached.
struct RunningDevice {
  /// How somebody comes to the device.
  enum Reach: Equatable {
    /// Only by a front-end of its own.
    case rings
    /// By NBD clients on this socket.
    case nbd(socketPath: String)
    /// As this TAP interface.
    case tap(name: String)
    /// By a VMM on this socket.
    case vhostUser(socketPath: String)
  }

  var attached: AttachedDevice
  var spec: DeviceSpec
  var reach = Reach.rings
  /// The process of its front-end, if it has one here.
  var export: ChildProcess?
  /// An interface's address.
  var mac: String?

  var address: DeviceAddress { attached.address }
  var kind: DeviceKind { address.device.kind }

  /// For people.
  var reachText: String {
    switch reach {
    case .rings: "-"
    case .nbd(let path): "nbd+unix:///?socket=\(path)"
    case .tap(let name): name
    case .vhostUser(let path): "vhost-user \(path)"
    }
  }

  /// The variables of a command that tell how this device, number `number` of its kind, is reached.
  func environment(number: Int) -> [String: String] {
    let prefix = "PVIO_\(kind.name.uppercased())\(number)"
    return switch reach {
    case .rings: [:]
    case .nbd(let path): ["\(prefix)_NBD": reachText, "\(prefix)_SOCKET": path]
    case .tap(let name): ["\(prefix)_TAP": name]
    case .vhostUser(let path): ["\(prefix)_VHOST_USER": path]
    }
  }
}
