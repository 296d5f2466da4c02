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

/// One attached network interface that a VMM uses.
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
    let keys = NetKeyWatch(address: address, interface: VhostUserInterfaceKeys(interface: interface, logger: logger), store: store)
    return await VhostUserLife(address: address, directory: directory, store: store, logger: logger).serve(
      interface, keys: [:], isStopped: isStopped, beside: { await keys.follow() }
    ) { await interface.status() }
  }
}
