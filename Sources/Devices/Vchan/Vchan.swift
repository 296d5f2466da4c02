public import EventLoop
import LinuxSystem
public import PVDriver
import SharedMemory
public import SharedRing
import SystemPackage
public import XenInterface
public import XenPlatform
public import XenStoreClient
import Xenbus

/// A pipe to another domain in libxenvchan's format, open at this end.
///
/// ```swift
/// let pipe = try await Vchan.connect("/local/domain/7/data/pipe", server: 7, platform: platform, store: store, loop: loop, streams: streams)
/// print(await pipe.ending())
/// await pipe.leave()
/// ```
/// Its loop must run until ``leave()`` has returned.
public struct Vchan: Sendable {
  private let endpoint: LoopConfined<VchanEndpoint>
  private let endings: AsyncStream<VchanEndpoint.Ending>
  /// What the server left in the store.
  private let published: (store: XenStoreClient, path: String)?

  /// Offers a vchan to `client` under `path`: as `libxenvchan_server_init` does. Whoever serves writes the keys and owns them.
  /// - Parameters:
  ///   - path: absolute, where this domain may write.
  ///   - polling: how to wait for the peer.
  public static func listen(
    _ path: String, client: DomainID, orders: VchanOrders, platform: any XenPlatform, store: XenStoreClient, loop: EventLoop, streams: VchanStreams,
    polling: PollingPolicy = .standard
  ) async throws -> Vchan {
    let channel = try platform.allocateUnboundChannel(for: client)
    let (endings, ended) = AsyncStream<VchanEndpoint.Ending>.makeStream()
    let (endpoint, reference) = try await loop.run { () -> Result<(LoopConfined<VchanEndpoint>, GrantReference), any Error> in
      Result {
        let count = 1 + orders.pageCounts.left + orders.pageCounts.right
        let memory = GrantedStreamMemory(try platform.makeGrantArena(for: client, access: .readWrite, pageCount: count), pageCount: count)
        let page = VchanPage(memory.page)
        try memory.tellOfEnd(UnmapNotice(clearing: VchanPage.livenessOffset(of: .server), signalling: channel))
        let pair = page.initializedServer(orders, data: memory.data, references: Array(memory.references.dropFirst()))
        let endpoint = try VchanEndpoint(page: page, side: .server, loop: loop, streams: streams, polling: polling) { ended.yield($0) }
        endpoint.begin(ByteStreamConnection(pair, channel: channel, memory: memory))
        return (LoopConfined(endpoint, on: loop), memory.references[0])
      }
    }.get()
    let vchan = Vchan(endpoint: endpoint, endings: endings, published: (store, path))
    channel.onPeerClosed { [endpoint] in endpoint.loop.execute { endpoint.value.peerDied() } }
    do {
      try await publish(path, reference, channel.port, owner: platform.domain, reader: client, store)
    } catch {
      await vchan.leave()
      throw error
    }
    return vchan
  }

  /// Connects to the vchan that `server` offers under `path`: as `libxenvchan_client_init` does, but it waits until the server is there. A
  /// cancelled task stops waiting.
  public static func connect(
    _ path: String, server: DomainID, platform: any XenPlatform, store: XenStoreClient, loop: EventLoop, streams: VchanStreams,
    polling: PollingPolicy = .standard
  ) async throws -> Vchan {
    let (reference, port) = try await published(path, store)
    let channel = try platform.bindInterdomainChannel(remote: server, port: port)
    let (endings, ended) = AsyncStream<VchanEndpoint.Ending>.makeStream()
    let endpoint = try await loop.run { () -> Result<LoopConfined<VchanEndpoint>, any Error> in
      Result {
        let memory = MappedStreamMemory()
        let grants = try platform.foreignGrants(of: server)
        let notice = UnmapNotice(clearing: VchanPage.livenessOffset(of: .client), signalling: channel)
        let page = VchanPage(try memory.map([reference], grants, stream: 0, notice: notice))
        guard let orders = page.readOrders() else { throw VchanError.impossibleOrders(path) }
        let references = page.readReferences(orders)
        let data = references.isEmpty ? page.page : try memory.map(references, grants, stream: 0)
        let endpoint = try VchanEndpoint(page: page, side: .client, loop: loop, streams: streams, polling: polling) { ended.yield($0) }
        endpoint.begin(ByteStreamConnection(page.client(orders, data: data), channel: channel, memory: memory))
        return LoopConfined(endpoint, on: loop)
      }
    }.get()
    let vchan = Vchan(endpoint: endpoint, endings: endings, published: nil)
    channel.onPeerClosed { [endpoint] in endpoint.loop.execute { endpoint.value.peerDied() } }
    return vchan
  }

  /// How it ended, once it has; nil when the task is cancelled.
  public func ending() async -> VchanEndpoint.Ending? { await endings.first { _ in true } }

  /// What it has moved.
  public func counters() async -> ByteStreamCounters { await endpoint.loop.run { [endpoint] in endpoint.value.total } }

  /// Leaves: the peer can still read what was put in before.
  public func leave() async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      endpoint.loop.execute { [endpoint] in endpoint.value.leave { continuation.resume() } }
    }
    if let published {
      // A store that is gone has forgotten the keys as well.
      try? await published.store.remove(published.path)
    }
  }

  // MARK: The store

  private static let referenceKey = "ring-ref"
  private static let portKey = "event-channel"

  private static func publish(
    _ path: String, _ reference: GrantReference, _ port: EventChannelPort, owner: DomainID, reader: DomainID, _ store: XenStoreClient
  ) async throws {
    try await XenbusClientStore(store).transaction { transaction in
      for (key, value) in [(referenceKey, reference.storeText), (portKey, port.storeText)] {
        try await transaction.write("\(path)/\(key)", value)
        try await transaction.setPermissions("\(path)/\(key)", ["n\(owner)", "r\(reader)"])
      }
    }
  }

  /// What a server has published, waited for. Neither may be 0: a server of Xen's writes that when it has failed.
  private static func published(_ path: String, _ store: XenStoreClient) async throws -> (GrantReference, EventChannelPort) {
    for await _ in try await store.watch(path) {
      guard let reference = try await store.readIfPresent("\(path)/\(referenceKey)"), let port = try await store.readIfPresent("\(path)/\(portKey)")
      else { continue }
      guard let grant = GrantReference(storeText: reference), grant.rawValue != 0 else { throw VchanError.badKey("\(path)/\(referenceKey)", reference) }
      guard let number = EventChannelPort(storeText: port), number.rawValue != 0 else { throw VchanError.badKey("\(path)/\(portKey)", port) }
      return (grant, number)
    }
    throw VchanError.storeIsGone
  }
}

/// Why a vchan could not be opened.
public enum VchanError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The server's page describes rings that no vchan has.
  case impossibleOrders(String)
  /// A key is not what it should be.
  case badKey(String, String)
  case storeIsGone

  public var description: String {
    switch self {
    case .impossibleOrders(let path): "the server of \(path) describes rings that no vchan has"
    case .badKey(let path, let value): "\(path) is '\(value)', expected a number above 0"
    case .storeIsGone: "the store is gone, or waiting was given up"
    }
  }
}
