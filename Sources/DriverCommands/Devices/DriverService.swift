import LinuxSystem
public import Logging
public import PVDriver
public import XenStoreClient
public import Xenbus

/// One device being served by a driver: its life cycle, its status file, and the signals that end it.
public struct DriverService: Sendable {
  private let address: DeviceAddress
  private let directory: RunDirectory
  private let logger: Logger

  public init(address: DeviceAddress, directory: RunDirectory, logger: Logger) {
    self.address = address
    self.directory = directory
    self.logger = logger
  }

  /// Serves until the device is detached, a signal comes or it cannot go on. The driver is disconnected then.
  /// - Parameters:
  ///   - notices: the same that the driver has.
  ///   - status: what the status file says, asked twice a second.
  public func run(
    _ driver: any BackendDriver, notices: XenbusNotices, store: XenStoreClient, status: @escaping @Sendable () async -> DriverStatus
  ) async -> BackendSupervisor.Report {
    let supervisor = BackendSupervisor(paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let helpers = [
      Task { [logger] in
        let signal = await Process.nextSignal()
        logger.info("signal \(signal): finishing and closing")
        supervisor.stop()
      },
      Task { [path = directory.device(address.id).backendStatus] in await DriverStatus.keepWriting(to: path, status) },
    ]
    let report = await supervisor.run(driver)
    for helper in helpers { helper.cancel() }
    await driver.disconnect()
    return report
  }
}
