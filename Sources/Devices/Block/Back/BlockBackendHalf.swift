import BlockEngine
import BlockInterface
import EventLoop
import Logging
import PVDriver
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// What of a block back-end lives on the loop: the engine for good, a plane from connect to disconnect.
final class BlockBackendHalf: BackHalf {
  let engine: BlockEngine
  private let configuration: BlockBackendConfiguration
  private let logger: Logger
  private let connection = BackConnection<BlkifPlane>()

  init(engine: BlockEngine, configuration: BlockBackendConfiguration, logger: Logger) {
    self.engine = engine
    self.configuration = configuration
    self.logger = logger
    engine.store.onFailure = { logger.error("\($0)") }
  }

  /// What is offered to a front-end.
  var features: BlockFeatures {
    let store = engine.store
    let discards = configuration.discard && store.supportsDiscard
    return BlockFeatures(
      maximumQueueCount: min(max(1, configuration.maximumQueueCount), BlockLimits.queueCount),
      maximumRingPageOrder: min(max(0, configuration.maximumRingPageOrder), BlockLimits.ringPageOrder),
      maximumIndirectSegmentCount: min(max(0, configuration.maximumIndirectSegmentCount), BlockLimits.indirectSegmentCount),
      persistentGrants: configuration.persistentGrants ?? false,
      flush: true,
      barrier: true,
      discard: discards ? BlockDiscardLimits(granularityByteCount: store.discardGranularity) : nil)
  }

  /// Adds attributes that the toolstack asks for.
  func restrict(_ info: VdiskInfo) { engine.restrict(info) }

  func connect(
    _ transport: BlockTransport, granter: DomainID, channels: [EventChannel], platform: any XenPlatform,
    onFault: @escaping (_ queue: Int, RingFault) -> Void
  ) -> Result<BlockGeometry, BlkifConnectError> {
    Result { () throws(BlkifConnectError) in
      try connection.begin(with: granter, platform) { grants throws(BlkifConnectError) in
        try BlkifPlane(
          engine: engine, grants: grants, transport: transport, channels: channels,
          configuration: BlkifPlane.Configuration(
            features: features, polling: configuration.polling, persistentGrantLimit: configuration.persistentGrantLimit,
            largeTableByteCount: configuration.largeTableByteCount, frontendFamily: configuration.frontendFamily, trace: configuration.trace),
          logger: logger, onFault: onFault)
      }
      return engine.geometry
    }
  }

  func disconnect(_ done: @escaping (_ leakedPageCount: Int) -> Void) { connection.end(done) }

  var status: BlockBackendStatus {
    var status = BlockBackendStatus(geometry: engine.geometry, features: features, engine: engine.statistics, notices: engine.store.notices)
    guard let plane = connection.plane else { return status }
    status.usesPersistentGrants = plane.isPersistent
    status.mappedPageCount = plane.pages.grants.mappedPageCount
    status.persistentGrantCount = plane.pages.persistent?.count ?? 0
    status.queues = plane.queues.map { queue in
      BlockBackendStatus.Queue(
        entryCount: queue.ring.entryCount, inFlight: queue.ring.unansweredCount, counters: queue.counters,
        events: queue.channel?.counters ?? LoopEventChannel.Counters(), fault: queue.state.value.fault)
    }
    return status
  }
}
