import DriverCommands
import EventLoop
import Logging
import NetEngine
import NetPackets
import NetVirtio
import PVDriver
import XenInterface
import XenStoreClient
import Xenbus

/// One attached network interface that a VMM uses: the interface, what the store says of it, its status file, its rate, and what ends it.
struct VhostUserNetService {
  let address: DeviceAddress
  let settings: NetVirtioDevice.Settings
  let directory: RunDirectory
  let logger: Logger

  /// Serves on `loop` until the device is detached or `isStopped`.
  func run(
    store: XenStoreClient, loop: EventLoop, isStopped: StopRequest, makePort: @escaping @Sendable (EventLoop) throws -> NetPort
  ) async throws -> BackendSupervisor.Report {
    let files = directory.device(address.id)
    var settings = settings
    settings.address = try await store.readIfPresent("\(address.paths.backend)/\(NetifKeys.Backend.mac.name)").flatMap { MACAddress($0) }
    let interface = try await ServedVhostUserInterface.open(
      at: .path(files.vhostUserSocket), settings: settings, loop: loop, logger: logger, makePort: makePort)
    let life = VhostUserLife(address: address, store: store, logger: logger)
    let helpers = [
      Task { await StatusFile.keepWriting(to: files.backendStatus) { await interface.status() } },
      Task { await NetKeyWatch(address: address, interface: interface, store: store).follow() },
    ]
    var report = BackendSupervisor.Report(exitCode: 0, text: "\(address.paths): stopped")
    do {
      try await life.run(keys: [:], notices: interface.notices, isStopped: isStopped)
    } catch {
      report = BackendSupervisor.Report(exitCode: 1, text: "\(address.paths): \(error)")
    }
    for helper in helpers { helper.cancel() }
    await interface.close()
    await life.finish()
    return report
  }
}
