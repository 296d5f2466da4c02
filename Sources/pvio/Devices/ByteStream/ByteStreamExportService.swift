import DriverCommands
import EventLoop
import LinuxSystem
import Logging
import PVDriver
import ProcessPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// A front-end of byte streams in a process of its own, as the device's own domain, until the device is removed, a signal comes, or what
/// it is for has ended.
struct ByteStreamExportService {
  let address: DeviceAddress
  let directory: RunDirectory
  let logger: Logger
  let loop: EventLoop
  /// Raised when everything is to end.
  let stop: StopRequest
  /// Stops the front-end: given to whatever may end it.
  let notices = XenbusNotices()

  /// - Parameters:
  ///   - readyText: what the ready line says behind the colon; nil: there is none.
  ///   - output: where the ready line goes; standard error if standard output belongs to the stream.
  ///   - endpoints: makes what uses the streams, on the loop.
  func run<Endpoint: ByteStreamEndpoint>(
    _ device: some ByteStreamFrontendDevice, readyText: String?, onStandardError: Bool = false, endpoints: @escaping @Sendable () throws -> [Endpoint]
  ) async throws {
    let platform = try DaemonConnection.platform(directory, as: address.domain)
    let store = try DaemonConnection.store(directory, as: address.domain)
    defer { store.close() }
    let (connections, connected) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let driver = try await ByteStreamFrontendDriver(
      device, loop: loop, platform: platform, notices: notices, logger: logger, onConnected: { connected.yield() }, endpoints: endpoints)
    let life = XenbusFrontend(driver: driver, paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let signals = Task { [notices, stop] in if await stop.wait() { notices.stop() } }
    let ending = Task { try await life.run() }
    let outcome = await Task { try await wait(ending, connections, readyText, onStandardError) }.result
    signals.cancel()
    notices.stop()
    _ = await ending.result
    await driver.close()
    try outcome.get()
  }

  private func wait(
    _ ending: Task<XenbusEnding, any Error>, _ connections: AsyncStream<Void>, _ readyText: String?, _ onStandardError: Bool
  ) async throws {
    let isMade = await FirstConnection.isMade(before: ending) {
      for await _ in connections { return true }
      return false
    }
    if !isMade {
      // What it is for can have ended before a back-end came.
      if notices.isStopping { return }
      let store = try DaemonConnection.store(directory)
      defer { store.close() }
      throw CommandFailure(try await DeviceReport.read(address, directory, store).diagnosis)
    }
    if let readyText {
      let line = "pvio export ready: \(readyText)\n"
      if onStandardError { Process.writeError(line) } else {
        print(line, terminator: "")
        flushOutput()
      }
      ServiceManager.notifyReady()
    }
    let end: XenbusEnding
    do { end = try await ending.value } catch { throw CommandFailure("\(address.paths): \(error)") }
    if case .failed(let reason) = end { throw CommandFailure("\(address.paths): \(reason)") }
  }
}

extension DeviceAddress {
  /// Looks a device up as the control domain: everything after that happens as the device's own domain.
  static func lookUp(_ device: String, _ kind: DeviceKind, in domain: String, _ directory: RunDirectory) async throws -> DeviceAddress {
    let platform = try DaemonConnection.platform(directory)
    defer { platform.disconnect() }
    let store = try DaemonConnection.store(directory)
    defer { store.close() }
    return try await DeviceAddress.find(device, kind, in: DomainLookup.find(domain, platform), store)
  }
}
