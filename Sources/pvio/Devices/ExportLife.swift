import DriverCommands
import Logging
import ProcessPlatform
import XenStoreClient
import Xenbus

/// The life of a front-end that this process has, as the device's own domain: until the device is removed, somebody asks for the end, or
/// what the front-end is for has ended.
struct ExportLife {
  let address: DeviceAddress
  let directory: RunDirectory
  let logger: Logger
  let isStopped: StopRequest
  /// Ends it: given to the driver, and to whatever else may end it.
  let notices = XenbusNotices()

  var files: DeviceFiles { directory.device(address.id) }

  /// What it is made from. Close the store at the end.
  func connect() throws -> (platform: ProcessPlatform, store: XenStoreClient) {
    (try DaemonConnection.platform(directory, as: address.domain), try DaemonConnection.store(directory, as: address.domain))
  }

  /// Returns when it has ended in good order; the driver is disconnected then.
  /// - Parameters:
  ///   - isConnected: true once a back-end is connected; false when none will be.
  ///   - begin: makes the device reachable, once; returns what the ready line says behind the colon, nil when there is to be none.
  ///   - onStandardError: where the ready line goes if standard output belongs to the device.
  func run(
    _ driver: any FrontendDriver, _ store: XenStoreClient, isConnected: @escaping @Sendable () async -> Bool,
    onStandardError: Bool = false, begin: () async throws -> String?
  ) async throws {
    let life = XenbusFrontend(driver: driver, paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let stopping = Task { [notices, isStopped] in if await isStopped.wait() { notices.stop() } }
    let ending = Task { try await life.run() }
    let outcome = await Result.of { try await wait(ending, isConnected, onStandardError, begin) }
    stopping.cancel()
    notices.stop()
    _ = await ending.result
    try outcome.get()
  }

  private func wait(
    _ ending: Task<XenbusEnding, any Error>, _ isConnected: @escaping @Sendable () async -> Bool, _ onStandardError: Bool,
    _ begin: () async throws -> String?
  ) async throws {
    guard await FirstConnection.isMade(before: ending, connected: isConnected) else {
      // What it is for can have ended before a back-end came.
      if notices.isStopping { return }
      throw CommandFailure(try await diagnosis())
    }
    if let text = try await begin() { sayReady(text, onStandardError) }
    let end: XenbusEnding
    do { end = try await ending.value } catch { throw CommandFailure("\(address.paths): \(error)") }
    if case .failed(let reason) = end { throw CommandFailure("\(address.paths): \(reason)") }
  }

  private func sayReady(_ text: String, _ onStandardError: Bool) {
    let line = "pvio export ready: \(text)\n"
    if onStandardError { Process.writeError(line) } else {
      print(line, terminator: "")
      flushOutput()
    }
    ServiceManager.notifyReady()
  }

  private func diagnosis() async throws -> String {
    let store = try DaemonConnection.store(directory)
    defer { store.close() }
    return try await DeviceReport.read(address, directory, store).diagnosis
  }
}
