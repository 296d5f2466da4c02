public import Logging
public import PVDriver
public import XenStoreClient
public import Xenbus

/// One device being served by this process: its life cycle, its status file, what goes on beside it, and what ends it.
public struct DriverService: Sendable {
  public let address: DeviceAddress
  private let directory: RunDirectory
  private let logger: Logger

  public init(address: DeviceAddress, directory: RunDirectory, logger: Logger) {
    self.address = address
    self.directory = directory
    self.logger = logger
  }

  /// Serves until the device is detached, somebody asks for the end or it cannot go on. The driver is disconnected then.
  /// - Parameters:
  ///   - notices: the same that the driver has.
  ///   - isStopped: asks for the end: requests are finished, and the device is closed, or left connected where the driver's platform lets
  ///     the next process take it up.
  ///   - beside: what goes on while the device is served; cancelled after that.
  ///   - status: what the status file says, asked twice a second.
  public func run<Status: Encodable & Equatable & Sendable>(
    _ driver: any BackendDriver, notices: XenbusNotices, store: XenStoreClient, until isStopped: StopRequest = .bySignal(),
    beside: [@Sendable () async -> Void] = [], status: @escaping @Sendable () async -> Status
  ) async -> BackendSupervisor.Report {
    let supervisor = BackendSupervisor(paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let stopping = Task { [address, logger] in
      guard await isStopped.wait() else { return }
      logger.info("\(address.device) of domain \(address.domain): finishing what is under way and closing")
      supervisor.stop(leavingConnected: driver.adoptsConnections)
    }
    let writing = Task { [path = directory.device(address.id).backendStatus] in await StatusFile.keepWriting(to: path, status) }
    let helpers = [stopping, writing] + beside.map { work in Task { await work() } }
    let report = await supervisor.run(driver)
    for helper in helpers { helper.cancel() }
    await driver.disconnect()
    return report
  }
}
