import BlockBack
import BlockEngine
import DriverCommands
import EventLoop
import Logging
import PVDriver
import XenInterface
import XenPlatform
import XenStoreClient
import Xenbus

/// One disk being served: the driver, its life cycle, its status file, resizing, and the signals that end it.
struct DiskService {
  let address: DeviceAddress
  let spec: DiskSpec
  let directory: RunDirectory
  let logger: Logger
  /// The processor that the disk's thread keeps to; nil: any.
  var processor: Int?

  /// Serves until the device is detached, somebody asks for the end, or it cannot go on.
  func run(platform: any XenPlatform, store: XenStoreClient, isStopped: StopRequest) async throws -> BackendSupervisor.Report {
    let thread: EventLoopThread
    do { thread = try EventLoopThread.start(name: "block", processor: processor) } catch { throw CommandFailure("\(error)") }
    defer { thread.stopAndJoin() }
    let notices = XenbusNotices()
    var configuration = BlockBackendConfiguration()
    configuration.maximumQueueCount = spec.queueCount
    configuration.frontendFamily = spec.frontendFamily
    configuration.trace = directory.device(address.id).makeTrace(operations: BlockOperation.allCases.map { "\($0)" }, logger: logger)
    let driver: BlockBackendDriver
    do {
      driver = try await BlockBackendDriver.open(
        spec.store, loop: thread.loop, platform: platform, notices: notices, configuration: configuration, logger: logger)
    } catch {
      throw CommandFailure("\(error)")
    }
    let supervisor = BackendSupervisor(paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let helpers = [
      Task { [logger] in
        guard await isStopped.wait() else { return }
        logger.info("finishing requests and closing")
        supervisor.stop(leavingConnected: driver.adoptsConnections)
      },
      Task { await DiskStatusFile(path: directory.device(address.id).backendStatus).keepWriting { .init(await driver.status()) } },
      Task { await DiskResizing(address: address, disk: driver, store: store, logger: logger).serve() },
    ]
    let report = await supervisor.run(driver)
    for helper in helpers { helper.cancel() }
    await driver.close()
    return report
  }
}

extension DiskSpec {
  /// What the engine opens.
  var store: BlockStoreSpec {
    let backing: BlockStoreSpec.Backing =
      switch self.backing {
      case .file(let path): .file(path: path)
      case .ram(let byteCount): .memory(byteCount: byteCount)
      case .null(let byteCount): .null(byteCount: byteCount)
      case .script(let path): .script(path: path)
      }
    return BlockStoreSpec(
      backing, isReadOnly: isReadOnly, isDirect: usesDirectIO, sectorByteCount: sectorByteCount,
      rate: BlockRate(requestsPerSecond: requestsPerSecond, bytesPerSecond: bytesPerSecond))
  }
}
