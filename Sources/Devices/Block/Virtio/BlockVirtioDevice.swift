public import BlockEngine
public import BlockInterface
public import VhostUser
public import VirtioInterface
public import VirtioRing
public import Logging
public import PVDriver
public import SystemPackage
public import SharedRing
import EventLoop

/// A disk for a VMM: virtio-blk on a ``BlockEngine``.
///
/// ```swift
/// let device = BlockVirtioDevice(engine: BlockEngine(store: store, loop: loop), queueCount: 4, identity: "disk0")
/// let server = try VhostUserServer(device, listeningAt: path, logger: logger) { _ in }
/// ```
/// Belongs to the engine's loop; every call on its thread.
public final class BlockVirtioDevice: VhostUserDevice {
  public let engine: BlockEngine
  private let plane: BlockVirtioPlane
  private let maximumQueueCount: Int

  /// - Parameters:
  ///   - queueCount: most queues to offer.
  ///   - identity: what the guest sees as the disk's serial; at most 20 bytes of it.
  ///   - trace: where requests are told of while somebody traces the device; nil: nowhere.
  public init(
    engine: BlockEngine, queueCount: Int, identity: String, polling: PollingPolicy = .standard, trace: TraceFile? = nil,
    logger: Logger = Logger(label: "block.vhost-user")
  ) {
    guard let loop = engine.loop else { preconditionFailure("the engine has no loop") }
    self.engine = engine
    maximumQueueCount = queueCount
    engine.resizePool(
      BlockEngine.Sizing(
        requestCount: min(2048, 128 * queueCount), maximumVectorCount: DiskDescription.segmentLimit + 4, largeTableByteCount: 1 << 20))
    plane = BlockVirtioPlane(
      engine: engine, queueCount: queueCount, identity: Array(identity.utf8.prefix(20)), polling: polling, trace: trace, logger: logger)
    engine.store.onFailure = { logger.error("\($0)") }
    super.init(loop: loop)
    loop.attach(plane)
  }

  private var space: DiskDescription {
    DiskDescription(
      geometry: engine.geometry, queueCount: maximumQueueCount, supportsDiscard: engine.store.supportsDiscard,
      discardGranularity: engine.store.discardGranularity)
  }

  public override var features: VirtioFeatures { space.features }
  public override var queueCount: Int { maximumQueueCount }
  public override var configuration: [UInt8] { space.bytes }

  public override func started(_ queue: VhostUserQueue) { plane.started(queue) }
  public override func stop(_ queue: VhostUserQueue, done: @escaping () -> Void) { plane.stop(queue, done: done) }
  public override func memoryChanged(_ memory: GuestMemory) { plane.memory = memory }

  /// Looks at the file's size again, and tells the guest. Throws as ``BlockEngine/refreshSize()``.
  public func refreshSize() throws(Errno) -> BlockGeometry {
    let geometry = try engine.refreshSize()
    notifyConfigurationChange?()
    return geometry
  }

  /// Changes the size of a disk that is no file, and tells the guest. Throws as ``BlockEngine/resize(byteCount:)``.
  public func resize(byteCount: UInt64) throws(Errno) -> BlockGeometry {
    let geometry = try engine.resize(byteCount: byteCount)
    notifyConfigurationChange?()
    return geometry
  }

  /// What the queues that run have done.
  public var queueStatus: [BlockVirtioQueueStatus] { plane.status }

  /// Leaves the loop. No queue may be running.
  public func close() {
    plane.close()
    engine.close()
  }
}

/// What is told of one queue.
public struct BlockVirtioQueueStatus: Sendable, Equatable {
  public var entryCount: Int
  public var inFlight: Int
  public var requests: UInt64
  /// Requests that were answered with an error because of their form.
  public var rejections: UInt64
  public var events: UInt64
  public var spuriousEvents: UInt64
  public var signals: UInt64
  /// Why the queue is not served any more.
  public var fault: VirtqueueFault?
}
