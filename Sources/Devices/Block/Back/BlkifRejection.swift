import BlockEngine

/// A rule of the protocol that a request broke: it is answered with an error, counted, and the ring goes on
/// (`dispatch_rw_block_io`, drivers/block/xen-blkback/blkback.c).
enum BlkifRejection: Error, Equatable {
  /// More segments than the request or the offer allows, or none where there must be some.
  case segmentCount(Int)
  /// A segment that ends before it begins, or outside its page.
  case segment(first: UInt8, last: UInt8)
  /// An indirect request that wraps something else than a read or write.
  case indirectOperation(UInt8)
  /// A page that could not be mapped; which one is in the log.
  case grant
  /// An operation that does not exist or was not offered.
  case operation(UInt8)
  /// The disk cannot do it.
  case refused(BlockRefusal)

  var status: BlockStatus {
    switch self {
    case .operation: .notSupported
    case .refused(let refusal): refusal.status
    case .segmentCount, .segment, .indirectOperation, .grant: .error
    }
  }
}

/// Requests that broke a rule, by rule.
public struct BlkifRejectionCounters: Sendable, Equatable {
  public var segmentCount: UInt64 = 0
  public var segment: UInt64 = 0
  public var indirectOperation: UInt64 = 0
  public var grant: UInt64 = 0
  public var operation: UInt64 = 0
  /// Range, alignment, read-only: which, is in the engine's statistics.
  public var refused: UInt64 = 0

  public init() {}

  public var total: UInt64 { segmentCount + segment + indirectOperation + grant + operation + refused }

  mutating func count(_ rejection: BlkifRejection) {
    switch rejection {
    case .segmentCount: segmentCount &+= 1
    case .segment: segment &+= 1
    case .indirectOperation: indirectOperation &+= 1
    case .grant: grant &+= 1
    case .operation: operation &+= 1
    case .refused: refused &+= 1
    }
  }
}
