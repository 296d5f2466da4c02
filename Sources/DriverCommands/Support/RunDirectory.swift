import Glibc
import LinuxSystem
import SystemPackage
public import XenInterface

/// The files and sockets of one daemon (interface: "Files and sockets under the run directory").
public struct RunDirectory: Sendable {
  public let path: String

  public init(path: String) { self.path = path }

  /// `$PVIO_RUN_DIR`, else `/run/pvio` for root, else `$XDG_RUNTIME_DIR/pvio`.
  public static var defaultPath: String {
    if let path = environment("PVIO_RUN_DIR") { return path }
    if geteuid() == 0 { return "/run/pvio" }
    return (environment("XDG_RUNTIME_DIR") ?? "/tmp/pvio-\(getuid())") + "/pvio"
  }

  public var lock: String { "\(path)/daemon.pid" }
  public var storeSocket: String { "\(path)/xenstored/socket" }
  public var brokerSocket: String { "\(path)/broker.sock" }
  public func domain(_ domain: DomainID) -> String { "\(path)/domains/\(domain)" }

  /// The store and broker sockets to act as `domain`: domain 0 has the privileged ones.
  public func sockets(of domain: DomainID) -> (store: String, broker: String) {
    domain == .control ? (storeSocket, brokerSocket) : ("\(self.domain(domain))/store.sock", "\(self.domain(domain))/broker.sock")
  }

  public func device(_ id: String) -> DeviceFiles { DeviceFiles(path: "\(path)/devices/\(id)") }

  public func virtualSwitch(_ name: String) -> SwitchFiles { SwitchFiles(path: "\(path)/switches", name: name) }

  /// Makes the directory and those above it, for the owner alone.
  public static func create(_ path: String) throws {
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
public struct DeviceFiles: Sendable {
  public let path: String
  /// Held by the back-end that serves the device: a second one is refused.
  public var backendLock: String { "\(path)/backend.pid" }
  public var backendLog: String { "\(path)/backend.log" }
  /// What the back-end last said of itself (JSON).
  public var backendStatus: String { "\(path)/backend.json" }
  /// Held by the process that exports the device to NBD clients.
  public var frontendLock: String { "\(path)/frontend.pid" }
  public var frontendLog: String { "\(path)/frontend.log" }
  public var frontendStatus: String { "\(path)/frontend.json" }
  public var nbdSocket: String { "\(path)/nbd.sock" }
  /// Where a VMM comes to.
  public var vhostUserSocket: String { "\(path)/vhost-user.sock" }
  /// What the back-end tells of its requests while somebody traces them.
  public var trace: String { "\(path)/trace" }
  /// Where a 9P client comes to.
  public var ninePSocket: String { "\(path)/9p.sock" }
  /// Held by the process whose terminal is attached to a console.
  public var consoleLock: String { "\(path)/console.pid" }
}

extension DeviceFiles {
  /// The last line of a process's log, without the logger's preface: why it ended.
  public func lastLogLine(of path: String) -> String? {
    guard let text = try? TextFile.read(path) else { return nil }
    guard let line = text.split(separator: "\n").last(where: { !$0.isEmpty }) else { return nil }
    return line.hasPrefix("pvio: ") ? String(line.dropFirst(6)) : String(line)
  }

  /// Removes the device's directory. What is not there need not be removed.
  public func remove() {
    let files = [
      backendLock, backendLog, backendStatus, frontendLock, frontendLog, frontendStatus, nbdSocket, vhostUserSocket, ninePSocket, trace, consoleLock,
    ]
    for file in files { unsafe unlink(file) }
    unsafe rmdir(path)
  }
}

/// What one switch keeps under `D/switches/`.
public struct SwitchFiles: Sendable {
  public let path: String
  public let name: String
  /// Held by the process that serves the switch.
  public var lock: String { "\(path)/\(name).pid" }
  public var log: String { "\(path)/\(name).log" }
  /// What it last said of itself (JSON).
  public var status: String { "\(path)/\(name).json" }

  public func remove() { for file in [lock, log, status] { unsafe unlink(file) } }
  public func removeStatus() { unsafe unlink(status) }
}
