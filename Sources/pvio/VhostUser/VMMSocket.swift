import DriverCommands
import LinuxSystem
import Logging
import SystemPackage
import VhostUser

/// Where a VMM comes from: a socket that it finds by its path, or one that is connected already (`--fd`).
enum VMMSocket: Sendable {
  case path(String)
  case connected(SharedDescriptor)

  /// Begins to serve a device here. On the device's loop.
  func serve(_ device: VhostUserDevice, logger: Logger, onNotice: @escaping (VhostUserServer.Notice) -> Void) throws(Errno) -> VhostUserServer {
    switch self {
    case .path(let path): try VhostUserServer(device, listeningAt: path, logger: logger, onNotice: onNotice)
    case .connected(let socket): try VhostUserServer(device, connected: socket.descriptor.duplicate(), logger: logger, onNotice: onNotice)
    }
  }

  /// Why that was not possible.
  func failure(_ error: Errno) -> CommandFailure {
    switch self {
    case .path(let path): CommandFailure("cannot listen at \(path): \(error == .addressInUse ? "somebody listens there" : "\(error)")")
    case .connected: CommandFailure("the descriptor is no socket that can be used: \(error)")
    }
  }
}
