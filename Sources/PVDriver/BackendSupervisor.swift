public import Logging
public import Xenbus

/// Runs one device in one back-end process: from the start to the exit code.
///
/// ```swift
/// let supervisor = BackendSupervisor(paths: paths, store: store, notices: notices)
/// let signals = Task { await termination(); supervisor.stop() }        // SIGTERM: drain, Closing, Closed
/// exit(await supervisor.run(driver).exitCode)
/// ```
public struct BackendSupervisor: Sendable {
  /// How the process ends.
  public struct Report: Sendable, Equatable {
    /// 0 done, 1 failed.
    public var exitCode: Int32
    /// One line: which device, what happened.
    public var text: String

    public init(exitCode: Int32, text: String) {
      self.exitCode = exitCode
      self.text = text
    }
  }

  public let paths: XenbusDevicePaths
  private let store: any XenbusStore
  private let notices: XenbusNotices
  private let timeouts: XenbusTimeouts
  private let logger: Logger

  /// - Parameter notices: the same that the driver has.
  public init(
    paths: XenbusDevicePaths, store: any XenbusStore, notices: XenbusNotices, timeouts: XenbusTimeouts = XenbusTimeouts(),
    logger: Logger = Logger(label: "pvio.backend")
  ) {
    self.paths = paths
    self.store = store
    self.notices = notices
    self.timeouts = timeouts
    self.logger = logger
  }

  /// Asks the device to finish its requests and to close; ``run(_:)`` returns when that is done. Any thread.
  ///
  /// - Parameter leavingConnected: the front-end stays connected, for a process that takes up its rings
  ///   (``BackendDriver/adoptsConnections``).
  public func stop(leavingConnected: Bool = false) { if leavingConnected { notices.leave() } else { notices.stop() } }

  /// Serves the device until it is stopped, removed, or cannot go on.
  public func run(_ driver: any BackendDriver) async -> Report {
    let backend = XenbusBackend(driver: driver, paths: paths, store: store, notices: notices, timeouts: timeouts, logger: logger)
    do {
      switch try await backend.run() {
      case .stopped: return Report(exitCode: 0, text: "\(paths): stopped")
      case .removed: return Report(exitCode: 0, text: "\(paths): removed")
      case .domainReleased: return Report(exitCode: 0, text: "\(paths): domain \(paths.frontendDomain) is gone")
      case .failed(let reason): return Report(exitCode: 1, text: "\(paths): \(reason)")
      }
    } catch {
      return Report(exitCode: 1, text: "\(paths): \(error)")
    }
  }
}
