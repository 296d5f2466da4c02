public import PVDriver

// What a command does with a device's client, by transport: it becomes the device's front-end while `body` runs, and ends in good order.
// Throws ``CommandFailure`` when there is no such device or nobody serves it; what `body` throws.
extension FrontendOptions {
  /// With a device that answers requests. A ``RequestRingError`` of `body` is thrown as a ``CommandFailure``.
  public func use<Interface: RequestRingInterface>(
    _ interface: Interface.Type, _ body: @escaping (RequestRingClient<Interface>) async throws -> Void
  ) async throws {
    try await use(Interface.kind) { session in
      let client = RequestRingClient<Interface>(on: session.loop)
      let (address, logger) = (session.address, session.logger)
      Task { await Self.report(client.reports(), address, logger) }
      return Use(
        driver: RequestRingFrontendDriver(client, platform: session.platform, notices: session.notices, logger: logger),
        isConnected: { await client.waitUntilConnected() },
        body: {
          do {
            try await body(client)
          } catch let error as RequestRingError {
            throw CommandFailure("\(address.device): \(error)")
          }
        },
        close: { await client.close() })
    }
  }

  /// With a device that has a page of events.
  public func use<Device: EventPageDevice>(_ device: Device, _ body: @escaping (EventPageClient<Device>) async throws -> Void) async throws {
    try await use(Device.kind) { session in
      let client = await EventPageClient(
        device, loop: session.loop, platform: session.platform, notices: session.notices, logger: session.logger)
      let (address, logger) = (session.address, session.logger)
      Task { await Self.report(client.driver.reporter.reports(), address, logger) }
      return Use(
        driver: client.driver, isConnected: { await client.waitUntilConnected() }, body: { try await body(client) }, close: { client.close() })
    }
  }

  /// With a device that has a stream of bytes. A ``ByteStreamClientError`` of `body` is thrown as a ``CommandFailure``.
  public func use<Interface: ByteStreamInterface>(
    _ interface: Interface.Type, _ body: @escaping (ByteStreamClient<Interface>) async throws -> Void
  ) async throws {
    try await use(Interface.kind) { session in
      let client: ByteStreamClient<Interface> = try await .open(
        loop: session.loop, platform: session.platform, notices: session.notices, logger: session.logger)
      let (address, logger) = (session.address, session.logger)
      Task { await Self.report(client.reports(), address, logger) }
      return Use(
        driver: client.driver, isConnected: { await client.waitUntilConnected() },
        body: {
          do {
            try await body(client)
          } catch let error as ByteStreamClientError {
            throw CommandFailure("\(address.device): \(error)")
          }
        },
        close: { await client.close() })
    }
  }
}
