public import Logging
import XenInterface

/// The store half of one back-end: runs ``BackendState/table`` for one device.
///
/// ```swift
/// let notices = XenbusNotices()
/// let driver = BlockBackend(…, notices: notices)
/// let backend = XenbusBackend(driver: driver, paths: paths, store: store, notices: notices)
/// let ending = try await backend.run()          // notices.stop() on SIGTERM
/// ```
public struct XenbusBackend: Sendable {
  private let runner: XenbusRunner<BackendState>

  /// - Parameter notices: the same that the driver has.
  public init(
    driver: any BackendDriver, paths: XenbusDevicePaths, store: any XenbusStore, notices: XenbusNotices,
    timeouts: XenbusTimeouts = XenbusTimeouts(), logger: Logger = Logger(label: "xenbus.backend")
  ) {
    runner = XenbusRunner(
      start: .starting, paths: paths, store: store, notices: notices, timeouts: timeouts, logger: logger,
      adoptsConnections: driver.adoptsConnections,
      hook: { operation, frontend in
        switch operation {
        case .advertise: return XenbusKeyChanges(written: try await driver.advertise())
        case .connect: return XenbusKeyChanges(written: try await driver.connect(frontend: frontend))
        case .reconfigure: return XenbusKeyChanges(written: try await driver.reconfigure(frontend: frontend))
        case .disconnect: await driver.disconnect()
        default: preconditionFailure("a back-end does not \(operation)")
        }
        return XenbusKeyChanges()
      },
      backing: { await driver.backing(device: $0) })
  }

  /// Serves the device until it is stopped, removed, or its domain is gone. Call it once.
  /// - Throws: ``XenbusError`` when there is no such device or the store is lost; the driver is disconnected then.
  public func run() async throws -> XenbusEnding { try await runner.run() }

  public var status: XenbusStatus { get async { await runner.status } }
}
