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

/// One disk being served by a thread of its own.
struct DiskService {
  let address: DeviceAddress
  let spec: DiskSpec
  let directory: RunDirectory
  let logger: Logger
  /// The processor that the disk's thread keeps to; nil: any.
  var processor: Int?

  /// Serves until the device is detached, somebody asks for the end, or it cannot go on.
  func run(platform: any XenPlatform, store: XenStoreClient, isStopped: StopRequest) async throws -> BackendSupervisor.Report {
    let thread = try EventLoopThread.started("block", processor: processor)
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
    let resizing = DiskResizing(address: address, disk: driver, store: store, logger: logger)
    let report = await DriverService(address: address, directory: directory, logger: logger).run(
      driver, notices: notices, store: store, until: isStopped, beside: [{ await resizing.serve() }]
    ) { DiskStatus(await driver.status()) }
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
