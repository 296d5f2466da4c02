import XenInterface
public import Xenbus

/// What a back-end offers: written before the front-end chooses.
public struct BlockFeatures: Sendable, Equatable {
  /// Most queues, at least 1 (`multi-queue-max-queues`).
  public var maximumQueueCount: Int
  /// Largest ring as log2 of pages (`max-ring-page-order`).
  public var maximumRingPageOrder: Int
  /// Most segments of an indirect request; 0: no indirect requests (`feature-max-indirect-segments`).
  public var maximumIndirectSegmentCount: Int
  /// Grants stay mapped between requests when the front-end wants that too (`feature-persistent`).
  public var persistentGrants: Bool
  /// `BlkifOperation.flush` is done (`feature-flush-cache`).
  public var flush: Bool
  /// `BlkifOperation.writeBarrier` is done (`feature-barrier`).
  public var barrier: Bool
  /// How `BlkifOperation.discard` is done; nil: it is not (`feature-discard`).
  public var discard: BlockDiscardLimits?

  public init(
    maximumQueueCount: Int = 1, maximumRingPageOrder: Int = 0, maximumIndirectSegmentCount: Int = 0, persistentGrants: Bool = false,
    flush: Bool = false, barrier: Bool = false, discard: BlockDiscardLimits? = nil
  ) {
    self.maximumQueueCount = maximumQueueCount
    self.maximumRingPageOrder = maximumRingPageOrder
    self.maximumIndirectSegmentCount = maximumIndirectSegmentCount
    self.persistentGrants = persistentGrants
    self.flush = flush
    self.barrier = barrier
    self.discard = discard
  }
}

/// What can be discarded.
public struct BlockDiscardLimits: Sendable, Equatable {
  /// Size of a unit in bytes; 0: the sector size (`discard-granularity`).
  public var granularityByteCount: UInt32
  /// Offset of the first unit in bytes (`discard-alignment`).
  public var alignmentByteCount: UInt32
  /// `BlkifDiscardFlags.secure` is honoured (`discard-secure`).
  public var isSecure: Bool

  public init(granularityByteCount: UInt32 = 0, alignmentByteCount: UInt32 = 0, isSecure: Bool = false) {
    self.granularityByteCount = granularityByteCount
    self.alignmentByteCount = alignmentByteCount
    self.isSecure = isSecure
  }
}

// MARK: - In the store

extension BlockFeatures {
  /// The keys for the back-end's directory.
  public var keys: [String: String] {
    typealias Keys = BlkifKeys.Backend
    var keys = [
      Keys.maximumQueueCount.name: Keys.maximumQueueCount.format(UInt32(maximumQueueCount)),
      Keys.maximumRingPageOrder.name: Keys.maximumRingPageOrder.format(UInt32(maximumRingPageOrder)),
      Keys.featureMaxIndirectSegments.name: Keys.featureMaxIndirectSegments.format(UInt32(maximumIndirectSegmentCount)),
      Keys.featurePersistent.name: Keys.featurePersistent.format(persistentGrants),
      Keys.featureFlushCache.name: Keys.featureFlushCache.format(flush),
      Keys.featureBarrier.name: Keys.featureBarrier.format(barrier),
      Keys.featureDiscard.name: Keys.featureDiscard.format(discard != nil),
    ]
    if let discard {
      if discard.granularityByteCount > 0 {
        keys[Keys.discardGranularity.name] = Keys.discardGranularity.format(discard.granularityByteCount)
      }
      keys[Keys.discardAlignment.name] = Keys.discardAlignment.format(discard.alignmentByteCount)
      keys[Keys.discardSecure.name] = Keys.discardSecure.format(discard.isSecure)
    }
    return keys
  }

  /// What `backend` offers. Throws when a key is malformed; an absent key offers nothing.
  public init(reading backend: XenbusDirectory) throws(XenbusKeyError) {
    typealias Keys = BlkifKeys.Backend
    self.init(
      maximumQueueCount: Int(try backend.value(Keys.maximumQueueCount)),
      maximumRingPageOrder: Int(try backend.value(Keys.maximumRingPageOrder)),
      maximumIndirectSegmentCount: Int(try backend.value(Keys.featureMaxIndirectSegments)),
      persistentGrants: try backend.value(Keys.featurePersistent),
      flush: try backend.value(Keys.featureFlushCache),
      barrier: try backend.value(Keys.featureBarrier))
    if try backend.value(Keys.featureDiscard) {
      discard = BlockDiscardLimits(
        granularityByteCount: try backend.valueIfPresent(Keys.discardGranularity) ?? 0,
        alignmentByteCount: try backend.value(Keys.discardAlignment),
        isSecure: try backend.value(Keys.discardSecure))
    }
  }
}
