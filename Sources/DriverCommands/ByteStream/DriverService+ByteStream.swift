public import PVDriver
public import XenStoreClient
public import Xenbus

extension DriverService {
  /// The same for a device of byte streams, whose endpoints are closed for good after that.
  /// - Parameter more: adds what the device says of itself beside what its streams have moved.
  public func run<Device, Endpoint>(
    streams driver: ByteStreamBackendDriver<Device, Endpoint>, notices: XenbusNotices, store: XenStoreClient,
    status more: @escaping @Sendable (inout DriverStatus) async -> Void = { _ in }
  ) async -> BackendSupervisor.Report {
    let report = await run(driver, notices: notices, store: store) {
      var status = await driver.withEndpoints { DriverStatus($0) }
      await more(&status)
      return status
    }
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
