import ArgumentParser
import Glibc
import LinuxSystem
import Logging
import PVDriver
import SystemPackage

/// What every command takes.
struct CommonOptions: ParsableArguments {
  @Option(name: .long, help: "Where sockets and state of a running daemon are (default: $PVIO_RUN_DIR, /run/pvio, or $XDG_RUNTIME_DIR/pvio).")
  var runDir: String?

  @Option(name: .long, help: "Where domains live: process (those of a pvio daemon) or xen (those of this Xen host).")
  var platform: Host.Kind = .process

  @Option(name: .long, help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel: LogLevel = .notice

  @Option(name: .long, help: "Form of the log on stderr.")
  var logFormat: LogFormat = .text

  @Option(name: .long, help: "Write the process's number there while it runs.")
  var pidfile: String?

  enum LogLevel: String, ExpressibleByArgument, CaseIterable { case trace, debug, info, notice, warning, error, critical }
  enum LogFormat: String, ExpressibleByArgument, CaseIterable { case text, json }

  /// The run directory these options name.
  var runDirectory: RunDirectory { RunDirectory(path: runDir ?? RunDirectory.defaultPath) }

  /// Options to hand on to a process that this one starts.
  var forwarded: [String] {
    ["--run-dir", runDirectory.path, "--log-level", logLevel.rawValue, "--log-format", logFormat.rawValue]
      + (platform == .process ? [] : ["--platform", platform.rawValue])
  }

  /// What the directories of back-ends of `kind` are called: `chosen`, or on a Xen host a name that no driver of its kernel knows.
  /// Nil: as the kind is called.
  func backendType(of kind: DeviceKind, _ chosen: String? = nil) -> String? {
    let type = chosen ?? (platform == .xen ? DeviceAddress.ownBackendType(of: kind) : kind.storeName)
    return type == kind.storeName ? nil : type
  }

  /// A logger to stderr in the form asked for.
  func logger(_ label: String) -> Logger {
    var logger = Logger(label: label) { label in
      switch logFormat {
      case .text: StreamLogHandler.standardError(label: label)
      case .json: JSONLogHandler(label: label)
      }
    }
    logger.logLevel = Logger.Level(rawValue: logLevel.rawValue) ?? .notice
    return logger
  }

  /// Holds the pidfile until the value returned goes away.
  func holdPIDFile() throws -> LockedFile? {
    guard let pidfile else { return nil }
    do {
      return try LockedFile(path: pidfile)
    } catch .wouldBlock {
      throw CommandFailure("pidfile \(pidfile) is held by process \(LockedFile.holder(of: pidfile) ?? 0): stop that one first")
    } catch {
      throw CommandFailure("cannot write pidfile \(pidfile): \(error)")
    }
  }
}
