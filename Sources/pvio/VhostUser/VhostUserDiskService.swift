import BlockEngine
import BlockInterface
import DriverCommands
import EventLoop
import Logging
import PVDriver
import XenInterface
import XenStoreClient
import Xenbus

/// One attached disk that a VMM uses.
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
    let resizing = DiskResizing(address: address, disk: disk, store: store, logger: logger)
    return await VhostUserLife(address: address, directory: directory, store: store, logger: logger).serve(
      disk, keys: await disk.geometry.keys, isStopped: .bySignal(), beside: { await resizing.serve() }
    ) { await disk.status() }
  }
}
