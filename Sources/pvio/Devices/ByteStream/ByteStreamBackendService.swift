import DriverCommands
import EventLoop
import LinuxSystem
import Logging
import PVDriver
import XenInterface
import XenStoreClient
import Xenbus

/// A back-end of byte streams in a process of its own: its life cycle, its status file, and the signals that end it.
struct ByteStreamBackendService {
  let address: DeviceAddress
  let directory: RunDirectory
  let logger: Logger

  /// Serves until the device is detached, a signal comes or it cannot go on. The endpoints are closed after that.
  func run<Device, Endpoint>(
    _ driver: ByteStreamBackendDriver<Device, Endpoint>, store: XenStoreClient, notices: XenbusNotices,
    status more: @escaping @Sendable (inout DriverStatus) async -> Void = { _ in }
  ) async -> BackendSupervisor.Report {
    let supervisor = BackendSupervisor(paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let helpers = [
      Task { [logger] in
        let signal = await Process.nextSignal()
        logger.info("signal \(signal): closing")
        supervisor.stop()
      },
      Task {
        await DriverStatus.keepWriting(to: directory.device(address.id).backendStatus) {
          var status = await driver.withEndpoints { DriverStatus($0) }
          await more(&status)
          return status
        }
      },
    ]
    let report = await supervisor.run(driver)
    for helper in helpers { helper.cancel() }
    await driver.close()
    return report
  }
}

extension DriverStatus {
  /// What the streams of a device have moved. Loop thread only.
  init(_ endpoints: [some ByteStreamEndpoint]) {
    self.init()
    let total = endpoints.total
    connected = endpoints.contains { $0.isConnected }
    requests = total.connectionCount
    bytes = total.takenByteCount &+ total.putByteCount
    events = total.eventCount
    spurious_events = total.spuriousEventCount
    signals = total.signalCount
    fault = endpoints.lazy.compactMap(\.fault).first.map { "\($0)" }
    counters = ["bytes_from_guest": total.takenByteCount, "bytes_to_guest": total.putByteCount]
    if total.discardedByteCount > 0 { counters["bytes_discarded"] = total.discardedByteCount }
  }
}
