import BlockInterface
import EventLoop
public import Logging
import PVDriver
import Synchronization
import XenInterface
public import XenPlatform
public import Xenbus

/// The store half of a block front-end: negotiates, makes arena and event channels, and tells the ring half when to use them.
///
/// ```swift
/// let notices = XenbusNotices()
/// let driver = BlockFrontendDriver(disk, platform: platform, notices: notices)
/// let ending = try await XenbusFrontend(driver: driver, paths: paths, store: store, notices: notices).run()
/// await disk.close()
/// ```
public final class BlockFrontendDriver: FrontendDriver {
  private let frontend: BlockFrontend
  private let platform: any XenPlatform
  private let notices: XenbusNotices
  private let logger: Logger
  private let connection: FrontConnection<BlockFrontPlane>
  private let transport = Mutex<BlockTransport?>(nil)

  public init(
    _ frontend: BlockFrontend, platform: any XenPlatform, notices: XenbusNotices, logger: Logger = Logger(label: "block.frontend")
  ) {
    self.frontend = frontend
    self.platform = platform
    self.notices = notices
    self.logger = logger
    connection = FrontConnection(frontend.plane, notices: notices, logger: logger)
  }

  public func prepare(backend: XenbusDirectory) async throws -> [String: String] {
    let shape = try BlockFrontConnection.Shape(backend: backend, configuration: frontend.configuration)
    // Off the loop: the platform may have to ask the broker, and a new arena's pages take a while.
    let handOver = HandOver(try platform.makeGrantArena(for: backend.domain, access: .readWrite, pageCount: shape.pageCount))
    let made = try platform.allocateUnboundChannels(shape.queueCount, for: backend.domain)
    let rings = await frontend.loop.run { [frontend, notices] in
      let plane = frontend.plane.value
      let connection = BlockFrontConnection(shape: shape, arena: handOver.take(), channels: made)
      plane.prepare(connection)
      plane.onFault = { notices.peerViolation($0.description) }
      return connection.queues.map(\.ringReferences)
    }
    connection.hold(made)
    let queues = zip(rings, made).map { BlockTransport.Queue(ringReferences: $0, port: $1.port) }
    let transport = BlockTransport(queues: queues, persistentGrants: shape.isPersistent)
    self.transport.withLock { $0 = transport }
    return transport.keys
  }

  public var obsoleteKeys: [String] { transport.withLock { $0?.obsoleteKeys ?? [] } }

  public func connected(backend: XenbusDirectory) async throws {
    let geometry = try BlockFrontGeometry(backend: backend)
    await frontend.loop.run { [frontend] in frontend.plane.value.start(geometry) }
  }

  public func backendChanged(backend: XenbusDirectory) async {
    do {
      let geometry = try BlockFrontGeometry(backend: backend)
      await frontend.loop.run { [frontend] in frontend.plane.value.change(geometry) }
    } catch {
      logger.warning("the back-end's new keys are not used: \(error)")
    }
  }

  public func quiesce() async { await connection.quiesce() }
  public func disconnect() async { await connection.disconnect() }
}
