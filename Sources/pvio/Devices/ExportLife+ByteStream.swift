import DriverCommands
import EventLoop
import PVDriver
import XenStoreClient

extension ExportLife {
  /// Uses a device of byte streams.
  /// - Parameters:
  ///   - readyText: what the ready line says behind the colon; nil: there is none.
  ///   - onStandardError: where the ready line goes if standard output belongs to the stream.
  ///   - endpoints: makes what uses the streams, on the loop.
  func run<Endpoint: ByteStreamEndpoint>(
    _ device: some ByteStreamFrontendDevice, on loop: EventLoop, readyText: String?, onStandardError: Bool = false,
    endpoints: @escaping @Sendable () throws -> [Endpoint]
  ) async throws {
    let (platform, store) = try connect()
    defer { store.close() }
    let (connections, connected) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let driver = try await ByteStreamFrontendDriver(
      device, loop: loop, platform: platform, notices: notices, logger: logger, onConnected: { connected.yield() }, endpoints: endpoints)
    let outcome = await Result.of {
      try await run(driver, store, isConnected: { await connections.first { true } != nil }, onStandardError: onStandardError) { readyText }
    }
    await driver.close()
    try outcome.get()
  }
}
