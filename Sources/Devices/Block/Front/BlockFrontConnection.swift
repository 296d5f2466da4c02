import EventLoop
import SharedRing
public import XenInterface
public import XenPlatform

/// What one connection to a back-end consists of: pages, rings, event channels. Made on the loop, given back by
/// ``BlockFrontPlane/disconnect(_:)``.
public final class BlockFrontConnection {
  public let pool: IOBufferPool
  public let queues: [BlockFrontQueue]
  /// One a queue.
  public let channels: [EventChannel]
  public let isPersistent: Bool
  var loopChannels: [LoopEventChannel] = []
  /// Responses taken since the queue's last event, so that an event for a response that polling found first is not
  /// taken for a storm.
  var reapedSinceEvent: [Int]

  /// How a connection was agreed.
  public struct Shape: Sendable, Equatable {
    public var queueCount: Int
    public var ringPageOrder: Int
    /// What the back-end offers in an indirect request; 0 for none.
    public var maximumIndirectSegments: Int
    public var isPersistent: Bool
    public var dataPageCount: Int

    public init(queueCount: Int, ringPageOrder: Int, maximumIndirectSegments: Int, isPersistent: Bool, dataPageCount: Int) {
      self.queueCount = queueCount
      self.ringPageOrder = ringPageOrder
      self.maximumIndirectSegments = maximumIndirectSegments
      self.isPersistent = isPersistent
      self.dataPageCount = dataPageCount
    }

    var ringPageCount: Int { queueCount << ringPageOrder }

    /// Enough that tables never are what an indirect request waits for: one of `n` segments holds at least 12 data
    /// pages, and needs one page, and another one for each 512 segments.
    var indirectPageCount: Int {
      let segments = BlockFrontQueue.maximumSegmentCount(indirect: maximumIndirectSegments)
      if segments <= BlkifLimits.segmentsPerRequest { return 0 }
      return dataPageCount / (BlkifLimits.segmentsPerRequest + 1) + dataPageCount / BlkifLimits.segmentsPerIndirectPage
        + BlkifLimits.indirectPagesPerRequest
    }

    /// Pages of the arena.
    public var pageCount: Int { dataPageCount + ringPageCount + indirectPageCount }
  }

  /// Makes the rings in `arena`, which has ``Shape/pageCount`` pages. `channels` has one a queue.
  public init(shape: Shape, arena: GrantArena, channels: [EventChannel], startingAt index: RingIndex = 0) {
    precondition(channels.count == shape.queueCount && arena.pageCount >= shape.pageCount)
    let pool = IOBufferPool(arena: arena, isPersistent: shape.isPersistent)
    queues = (0..<shape.queueCount).map { _ in
      guard
        let queue = BlockFrontQueue(
          pool: pool, ringPageCount: 1 << shape.ringPageOrder, maximumIndirectSegments: shape.maximumIndirectSegments, startingAt: index)
      else { preconditionFailure("the arena was made too small") }
      return queue
    }
    pool.reserveIndirectPages(shape.indirectPageCount)
    self.pool = pool
    self.channels = channels
    isPersistent = shape.isPersistent
    reapedSinceEvent = Array(repeating: 0, count: shape.queueCount)
  }
}
