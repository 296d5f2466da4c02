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
  private let logger: Logger
  private let current = Mutex<(channel: EventChannel?, features: Interface.Features)>((nil, Interface.Features()))

  public init(
    _ client: RequestRingClient<Interface>, platform: any XenPlatform, notices: XenbusNotices,
    logger: Logger = Logger(label: "driver.frontend")
  ) {
    self.client = client
    self.platform = platform
    self.notices = notices
    self.logger = logger
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
    current.withLock { $0 = (channel, features) }
    channel.onPeerClosed { [weak self] in self?.peerClosed() }
    let transport = DriverTransport(
      version: choice.version, entryByteCount: choice.entryByteCount, ringReferences: ring, port: channel.port)
    return transport.keys.merging(features.acceptanceKeys) { own, _ in own }
  }

  public func connected(backend: XenbusDirectory) async throws {
    let features = current.withLock { $0.features }
    await client.plane.loop.run { [client] in client.plane.value.start(features) }
  }

  public func quiesce() async {
    let client = client
    await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        client.plane.loop.execute { client.plane.value.quiesce { continuation.resume() } }
        // Cancelled before there was anything to abandon: then what is below ran too early.
        if Task.isCancelled { client.plane.loop.execute { client.plane.value.abandonQuiescing() } }
      }
    } onCancel: {
      client.plane.loop.execute { client.plane.value.abandonQuiescing() }
    }
  }

  public func disconnect() async {
    let held = current.withLock { $0.channel.take() }
    held?.onPeerClosed(nil)
    let client = client
    let stillMapped = await withCheckedContinuation { (continuation: CheckedContinuation<Int, Never>) in
      client.plane.loop.execute { client.plane.value.disconnect { continuation.resume(returning: $0) } }
    }
    if stillMapped > 0 { logger.notice("the back-end had not let go of \(stillMapped) pages; they are given up with their arena") }
  }

  private func peerClosed() {
    client.plane.loop.execute { [client, notices] in
      // A back-end that closes with us closes its port before it has unmapped everything: its state says when it has.
      if client.plane.value.backendVanished("its end of the event channel was closed") { notices.peerVanished() }
    }
  }
}
