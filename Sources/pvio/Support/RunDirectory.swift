import Glibc
import LinuxSystem
import SystemPackage
import XenInterface

/// The files and sockets of one daemon (interface: "Files and sockets under the run directory").
struct RunDirectory: Sendable {
  let path: String

  /// `$PVIO_RUN_DIR`, else `/run/pvio` for root, else `$XDG_RUNTIME_DIR/pvio`.
  static var defaultPath: String {
    if let path = environment("PVIO_RUN_DIR") { return path }
    if geteuid() == 0 { return "/run/pvio" }
    return (environment("XDG_RUNTIME_DIR") ?? "/tmp/pvio-\(getuid())") + "/pvio"
  }

  var lock: String { "\(path)/daemon.pid" }
  var storeSocket: String { "\(path)/xenstored/socket" }
  var brokerSocket: String { "\(path)/broker.sock" }
  func domain(_ domain: DomainID) -> String { "\(path)/domains/\(domain)" }

  /// The store and broker sockets to act as `domain`: domain 0 has the privileged ones.
  func sockets(of domain: DomainID) -> (store: String, broker: String) {
    domain == .control ? (storeSocket, brokerSocket) : ("\(self.domain(domain))/store.sock", "\(self.domain(domain))/broker.sock")
  }

  func device(_ id: String) -> DeviceFiles { DeviceFiles(path: "\(path)/devices/\(id)") }

  func virtualSwitch(_ name: String) -> SwitchFiles { SwitchFiles(path: "\(path)/switches", name: name) }

  /// Makes the directory and those above it, for the owner alone.
  static func create(_ path: String) throws {
    var made = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/", omittingEmptySubsequences: true) {
      made += "/" + part
      // SAFETY: the path is a terminated string for the length of the call, as in `remove()`.
      if unsafe mkdir(made, 0o700) != 0, errno != EEXIST {
        throw CommandFailure("cannot make directory \(made): \(Errno(rawValue: errno))")
      }
    }
  }

  private static func environment(_ name: String) -> String? {
    // SAFETY: a terminated string of the environment, which this program never changes; copied here.
    guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
    return unsafe String(cString: value)
  }
}

/// What one device keeps under `D/devices/ID/`.
struct DeviceFiles: Sendable {
  let path: String
  /// Held by the back-end that serves the device: a second one is refused.
  var backendLock: String { "\(path)/backend.pid" }
  var backendLog: String { "\(path)/backend.log" }
  /// What the back-end last said of itself (JSON).
  var backendStatus: String { "\(path)/backend.json" }
  /// Held by the process that exports the device to NBD clients.
  var frontendLock: String { "\(path)/frontend.pid" }
  var frontendLog: String { "\(path)/frontend.log" }
  var frontendStatus: String { "\(path)/frontend.json" }
  var nbdSocket: String { "\(path)/nbd.sock" }
  /// Where a VMM comes to.
  var vhostUserSocket: String { "\(path)/vhost-user.sock" }
}

extension DeviceFiles {
  /// The last line of a process's log, without the logger's preface: why it ended.
  func lastLogLine(of path: String) -> String? {
    guard let text = try? TextFile.read(path) else { return nil }
    guard let line = text.split(separator: "\n").last(where: { !$0.isEmpty }) else { return nil }
    return line.hasPrefix("pvio: ") ? String(line.dropFirst(6)) : String(line)
  }

  /// Removes the device's directory. What is not there need not be removed.
  func remove() {
    for file in [backendLock, backendLog, backendStatus, frontendLock, frontendLog, frontendStatus, nbdSocket, vhostUserSocket] { unsafe unlink(file) }
    unsafe rmdir(path)
  }
}

/// What one switch keeps under `D/switches/`.
struct SwitchFiles: Sendable {
  let path: String
  let name: String
  /// Held by the process that serves the switch.
  var lock: String { "\(path)/\(name).pid" }
  var log: String { "\(path)/\(name).log" }
  /// What it last said of itself (JSON).
  var status: String { "\(path)/\(name).json" }

  func remove() { for file in [lock, log, status] { unsafe unlink(file) } }
  func removeStatus() { unsafe unlink(status) }
}
