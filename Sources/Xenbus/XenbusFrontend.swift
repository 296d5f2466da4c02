public import Logging
import XenInterface

/// The store half of one front-end: runs ``FrontendState/table`` for one device, and connects again by itself.
public struct XenbusFrontend: Sendable {
  private let runner: XenbusRunner<FrontendState>

  /// - Parameter notices: the same that the driver has.
  public init(
    driver: any FrontendDriver, paths: XenbusDevicePaths, store: any XenbusStore, notices: XenbusNotices,
    timeouts: XenbusTimeouts = XenbusTimeouts(), logger: Logger = Logger(label: "xenbus.frontend")
  ) {
    runner = XenbusRunner(
      start: .starting, paths: paths, store: store, notices: notices, timeouts: timeouts, logger: logger,
      hook: { operation, backend in
        switch operation {
        case .prepare:
          let keys = try await driver.prepare(backend: backend)
          return XenbusKeyChanges(written: keys, removed: driver.obsoleteKeys)
        case .connect: try await driver.connected(backend: backend)
        case .refresh: await driver.backendChanged(backend: backend)
        case .quiesce: await driver.quiesce()
        case .disconnect: await driver.disconnect()
        default: preconditionFailure("a front-end does not \(operation)")
        }
        return XenbusKeyChanges()
      },
      backing: { _ in .ready })
  }

  /// Uses the device until it is stopped or removed; connects again when the back-end comes back. Call it once.
  /// - Throws: ``XenbusError`` when there is no such device or the store is lost; the driver is disconnected then.
  public func run() async throws -> XenbusEnding { try await runner.run() }

  public var status: XenbusStatus { get async { await runner.status } }
}
