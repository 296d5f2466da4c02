public import Logging
import EventLoop
import Synchronization
import XenInterface
public import XenPlatform
public import Xenbus

/// The store half of a front-end with a request/response ring: negotiates, makes arena and event channel, and tells the ring half
/// when to use them.
///
/// ```swift
/// let notices = XenbusNotices()
/// let driver = RequestRingFrontendDriver(client, platform: platform, notices: notices)
/// let ending = try await XenbusFrontend(driver: driver, paths: paths, store: store, notices: notices).run()
/// await client.close()
/// ```
public final class RequestRingFrontendDriver<Interface: RequestRingInterface>: FrontendDriver {
  private let client: RequestRingClient<Interface>
  private let platform: any XenPlatform
  private let notices: XenbusNotices
  private let connection: FrontConnection<RequestRingFrontPlane<Interface>>
  private let features = Mutex(Interface.Features())

  public init(
    _ client: RequestRingClient<Interface>, platform: any XenPlatform, notices: XenbusNotices,
    logger: Logger = Logger(label: "driver.frontend")
  ) {
    self.client = client
    self.platform = platform
    self.notices = notices
    connection = FrontConnection(client.plane, notices: notices, logger: logger)
  }

  public func prepare(backend: XenbusDirectory) async throws -> [String: String] {
    let offer = try DriverOffer(reading: backend)
    let features = try Interface.Features(offeredBy: backend).agreed(with: client.configuration.features)
    guard let choice = DriverChoice(Interface.self, offered: offer) else {
      let ours = Interface.versions
      throw backend.error(
        DriverKeys.Backend.maximumVersion.name, expected: "a version from \(ours.lowerBound) to \(ours.upperBound), as this front-end speaks")
    }
    // Off the loop: the platform may have to ask the broker, and a new arena's pages take a while.
    let handOver = HandOver(
      try platform.makeGrantArena(
        for: backend.domain, access: .readWrite, pageCount: RequestRingFrontConnection<Interface>.arenaPageCount(choice)))
    let channel = try platform.allocateUnboundChannel(for: backend.domain)
    let ring = await client.plane.loop.run { [client, notices] in
      let plane = client.plane.value
      let connection = RequestRingFrontConnection<Interface>(choice, arena: handOver.take(), channel: channel)
      plane.prepare(connection)
      plane.onFault = { notices.peerViolation($0.description) }
      return connection.ringReferences
    }
    self.features.withLock { $0 = features }
    connection.hold([channel])
    let transport = DriverTransport(
      version: choice.version, entryByteCount: choice.entryByteCount, ringReferences: ring, port: channel.port)
    return transport.keys.merging(features.acceptanceKeys) { own, _ in own }
  }

  public func connected(backend: XenbusDirectory) async throws {
    let features = self.features.withLock { $0 }
    await client.plane.loop.run { [client] in client.plane.value.start(features) }
  }

  public func quiesce() async { await connection.quiesce() }

  public func disconnect() async { await connection.disconnect() }
}
