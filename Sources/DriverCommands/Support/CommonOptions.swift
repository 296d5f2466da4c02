public import ArgumentParser
import Glibc
public import LinuxSystem
public import Logging
public import PVDriver
import SystemPackage

/// What every command takes.
public struct CommonOptions: ParsableArguments, Sendable {
  @Option(name: .long, help: "Where sockets and state of a running daemon are (default: $PVIO_RUN_DIR, /run/pvio, or $XDG_RUNTIME_DIR/pvio).")
  public var runDir: String?

  @Option(name: .long, help: "Where domains live: process (those of a pvio daemon) or xen (those of this Xen host).")
  public var platform: Host.Kind = .process

  @Option(name: .long, help: "trace, debug, info, notice, warning, error or critical.")
  public var logLevel: LogLevel = .notice

  @Option(name: .long, help: "Form of the log on stderr.")
  public var logFormat: LogFormat = .text

  @Option(name: .long, help: "Write the process's number there while it runs.")
  public var pidfile: String?

  public enum LogLevel: String, ExpressibleByArgument, CaseIterable, Sendable { case trace, debug, info, notice, warning, error, critical }
  public enum LogFormat: String, ExpressibleByArgument, CaseIterable, Sendable { case text, json }

  public init() {}

  /// The run directory these options name.
  public var runDirectory: RunDirectory { RunDirectory(path: runDir ?? RunDirectory.defaultPath) }

  /// Options to hand on to a process that this one starts.
  public var forwarded: [String] {
    ["--run-dir", runDirectory.path, "--log-level", logLevel.rawValue, "--log-format", logFormat.rawValue]
      + (platform == .process ? [] : ["--platform", platform.rawValue])
  }

  /// What the directories of back-ends of `kind` are called: `chosen`, or on a Xen host a name that no driver of its kernel knows.
  /// Nil: as the kind is called.
  public func backendType(of kind: DeviceKind, _ chosen: String? = nil) -> String? {
    let type = chosen ?? (platform == .xen ? DeviceAddress.ownBackendType(of: kind) : kind.storeName)
    return type == kind.storeName ? nil : type
  }

  /// A logger to stderr in the form asked for.
  public func logger(_ label: String) -> Logger {
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
  public func holdPIDFile() throws -> LockedFile? {
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
