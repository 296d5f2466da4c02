public import BlockInterface
public import PVDriver
public import SharedRing
public import XenInterface

/// What a block back-end offers, and how it works.
public struct BlockBackendConfiguration: Sendable {
  /// Most queues (`multi-queue-max-queues`).
  public var maximumQueueCount = 4
  /// Largest ring as log2 of pages (`max-ring-page-order`), at most `BlockLimits.ringPageOrder`.
  public var maximumRingPageOrder = BlockLimits.ringPageOrder
  /// Most segments of an indirect request (`feature-max-indirect-segments`), 0 to `BlockLimits.indirectSegmentCount`.
  public var maximumIndirectSegmentCount = BlockLimits.defaultIndirectSegmentCount
  /// Offer persistent grants; nil: where mapping a page is expensive.
  public var persistentGrants: Bool?
  /// Pages that may stay mapped between requests (`max_persistent_grants`, Linux), over all queues.
  public var persistentGrantLimit = 1056
  /// Offer discard where what backs the disk can do it (`discard-enable`).
  public var discard = true
  /// How long to look at the rings before sleeping.
  public var polling = PollingPolicy.standard
  /// Layout of a front-end that does not say which it has.
  public var defaultProtocol = BlkifProtocol.x8664
  /// In which units the front-end counts, on a disk whose sectors are not of 512 bytes.
  public var frontendFamily = FrontendFamily.linux
  /// Memory for the tables of requests with more than 11 segments, in bytes, beyond which they wait for each other.
  public var largeTableByteCount = 1 << 20
  /// Where requests are told of while somebody traces the device (`pvio trace`); nil: nowhere.
  public var trace: TraceFile?

  public init() {}
}
