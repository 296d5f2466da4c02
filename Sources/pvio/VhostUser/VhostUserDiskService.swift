import BlockEngine
import BlockInterface
import DriverCommands
import EventLoop
import Logging
import PVDriver
import XenInterface
import XenStoreClient
import Xenbus

/// One attached disk that a VMM uses: the disk, what the store says of it, its status file, resizing, and the signals that end it.
struct VhostUserDiskService {
  let address: DeviceAddress
  let spec: DiskSpec
  let directory: RunDirectory
  let logger: Logger
  var processor: Int?

  /// Serves until the device is detached or a signal comes.
  func run(store: XenStoreClient) async throws -> BackendSupervisor.Report {
    let thread = try EventLoopThread.started("block", processor: processor)
    defer { thread.stopAndJoin() }
    let files = directory.device(address.id)
    let disk = try await ServedVhostUserDisk.open(
      spec, name: address.id, at: .path(files.vhostUserSocket), loop: thread.loop,
      trace: files.makeTrace(operations: BlockOperation.allCases.map { "\($0)" }, logger: logger), logger: logger)
    let life = VhostUserLife(address: address, store: store, logger: logger)
    let isStopped = StopRequest()
    let helpers = [
      Task { [logger] in
        let signal = await Process.nextSignal()
        logger.info("signal \(signal): finishing requests and closing")
        isStopped.raise()
      },
      Task { await StatusFile.keepWriting(to: files.backendStatus) { await disk.status() } },
      Task { await DiskResizing(address: address, disk: disk, store: store, logger: logger).serve() },
    ]
    var report = BackendSupervisor.Report(exitCode: 0, text: "\(address.paths): stopped")
    do {
      try await life.run(keys: await disk.geometry.keys, notices: disk.notices, isStopped: isStopped)
    } catch {
      report = BackendSupervisor.Report(exitCode: 1, text: "\(address.paths): \(error)")
    }
    for helper in helpers { helper.cancel() }
    await disk.close()
    await life.finish()
    return report
  }
}
