public import PVDriver

extension FrontendOptions {
  /// Becomes a device's front-end while `body` runs with a connected client. Ends it in good order.
  /// - Throws: ``CommandFailure`` when there is no such device or nobody serves it; what `body` throws, as one too.
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
}
