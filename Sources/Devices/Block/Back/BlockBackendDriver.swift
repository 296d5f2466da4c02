public import BlockEngine
public import BlockInterface
public import EventLoop
public import Logging
public import Xenbus
public import XenPlatform
import PVDriver
import XenInterface

/// The store half of a block back-end: offers features, takes up a front-end's rings, gives them back.
///
/// ```swift
/// let notices = XenbusNotices()
/// let driver = try await BlockBackendDriver.open(spec, loop: thread.loop, platform: platform, notices: notices)
/// let ending = try await XenbusBackend(driver: driver, paths: paths, store: store, notices: notices).run()
/// await driver.close()
/// ```
/// Its engine and rings live on `loop`, which must run until ``close()`` has returned.
public final class BlockBackendDriver: BackendDriver {
  let half: LoopConfined<BlockBackendHalf>
  private let platform: any XenPlatform
  private let notices: XenbusNotices
  private let configuration: BlockBackendConfiguration
  private let logger: Logger

  private var loop: EventLoop { half.loop }

  private init(
    half: LoopConfined<BlockBackendHalf>, platform: any XenPlatform, notices: XenbusNotices, configuration: BlockBackendConfiguration,
    logger: Logger
  ) {
    self.half = half
    self.platform = platform
    self.notices = notices
    self.configuration = configuration
    self.logger = logger
  }

  /// Opens what backs the disk and makes its engine on `loop`. Throws ``BlockOpenError``.
  /// - Parameter notices: the same that the life cycle gets.
  public static func open(
    _ spec: BlockStoreSpec, loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices,
    configuration: BlockBackendConfiguration = BlockBackendConfiguration(), logger: Logger = Logger(label: "block.backend")
  ) async throws(BlockOpenError) -> BlockBackendDriver {
    var configuration = configuration
    configuration.persistentGrants = configuration.persistentGrants ?? !platform.capabilities.mapsLocally
    configuration.maximumRingPageOrder = platform.capabilities.mapsContiguously ? configuration.maximumRingPageOrder : 0
    let settled = configuration
    let half = try await loop.run { () -> Result<LoopConfined<BlockBackendHalf>, BlockOpenError> in
      do throws(BlockOpenError) {
        let engine = BlockEngine(store: try BlockStore.open(spec), loop: loop)
        return .success(LoopConfined(BlockBackendHalf(engine: engine, configuration: settled, logger: logger), on: loop))
      } catch {
        return .failure(error)
      }
    }.get()
    let driver = BlockBackendDriver(half: half, platform: platform, notices: notices, configuration: settled, logger: logger)
    for notice in await driver.status().notices { logger.notice("\(notice)") }
    return driver
  }

  /// Closes what backs the disk. After the life cycle has ended.
  public func close() async {
    await disconnect()
    await loop.run { [half] in half.value.engine.close() }
  }

  // MARK: The life cycle's calls

  public var adoptsConnections: Bool { !platform.capabilities.reportsClosedPeers }

  public func advertise() async throws -> [String: String] {
    await loop.run { [half] in half.value.features.keys }
  }

  public func backing(device: XenbusDirectory) async -> XenbusBacking {
    // The toolstack's word on access holds, whatever the image allows (XSA-142).
    let mode = try? device.valueIfPresent(BlkifKeys.Backend.mode)
    var info: VdiskInfo = []
    if mode == .readOnly { info.insert(.readOnly) }
    if (try? device.value(BlkifKeys.Backend.deviceType)) == .cdrom { info.insert(.cdrom) }
    if (try? device.value(BlkifKeys.Backend.removable)) == true { info.insert(.removable) }
    let attributes = info
    await loop.run { [half] in half.value.restrict(attributes) }
    return .ready
  }

  public func connect(frontend: XenbusDirectory) async throws -> [String: String] {
    let features = await loop.run { [half] in half.value.features }
    let transport = try BlockTransport(reading: frontend, offered: features, defaultProtocol: configuration.defaultProtocol)
    let channels = try BlkifConnectError.bind(transport.queues.map(\.port), of: frontend.domain, platform)
    let (platform, notices) = (platform, notices)
    let geometry = try await loop.run { [half] in
      half.value.connect(transport, granter: frontend.domain, channels: channels, platform: platform) { queue, fault in
        notices.peerViolation("the front-end broke the ring of queue \(queue): \(fault)")
      }
    }.get()
    for channel in channels { channel.onPeerClosed { notices.peerVanished() } }
    return geometry.keys(for: configuration.frontendFamily)
  }

  public func disconnect() async { await half.disconnect(logger) }

  // MARK: While connected

  /// Looks at the file's size again, and tells a connected front-end when it has changed. For RAM and null disks use ``resize(byteCount:)``.
  @discardableResult
  public func refreshSize() async throws -> BlockGeometry {
    try await changeSize { engine in Result { try engine.refreshSize() } }
  }

  /// Gives a disk that is no file another size in bytes, and tells a connected front-end.
  @discardableResult
  public func resize(byteCount: UInt64) async throws -> BlockGeometry {
    try await changeSize { engine in Result { try engine.resize(byteCount: byteCount) } }
  }

  private func changeSize(_ change: @escaping @Sendable (BlockEngine) -> Result<BlockGeometry, any Error>) async throws -> BlockGeometry {
    let (old, new) = try await loop.run { [half] in
      let old = half.value.engine.geometry
      return change(half.value.engine).map { (old, $0) }
    }.get()
    if new.sectorCount != old.sectorCount {
      notices.capacityChanged(new.capacityKeys(for: configuration.frontendFamily))
    }
    return new
  }

  /// What the back-end does now. From any task.
  public func status() async -> BlockBackendStatus {
    await loop.run { [half] in half.value.status }
  }
}
