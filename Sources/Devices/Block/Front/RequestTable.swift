import SharedRing
import XenInterface

/// The requests of one ring that are in flight: what was asked, so that answers can be held against it.
struct RequestTable: ~Copyable {
  let pool: IOBufferPool
  let maximumSegmentCount: Int
  var ring: FrontRing<BlkifRequest, BlkifResponse>
  var rows: [Row]
  var firstFree: Int32 = 0
  var unpublishedCount = 0
  var fault: BlockFrontFault?

  /// One request that can be in flight; its index is the low half of the request's identifier.
  struct Row {
    var tag: UInt64 = 0
    /// High half of the identifier, so that a late answer is not taken for one to the row's next request. Even: not waiting.
    var generation: UInt32 = 0
    var nextFree: Int32 = -1
    var firstPage: Int32 = -1
    var pageCount: Int32 = 0
    var firstIndirectPage: Int32 = -1
    var operation: UInt8 = 0
  }

  init(ring: consuming FrontRing<BlkifRequest, BlkifResponse>, pool: IOBufferPool, maximumSegmentCount: Int) {
    self.pool = pool
    self.maximumSegmentCount = maximumSegmentCount
    // The ring cannot hold more.
    let count = ring.entryCount
    rows = (0..<count).map { row in
      var new = Row()
      new.nextFree = row + 1 < count ? Int32(row + 1) : -1
      return new
    }
    self.ring = ring
  }

  var inFlightCount: Int { ring.outstandingCount }
  var freeRequestCount: Int { fault == nil ? ring.freeRequestCount : 0 }
  var hasUnpublishedRequests: Bool { unpublishedCount > 0 && fault == nil }
  var hasResponses: Bool { fault == nil && ring.hasResponses() }

  mutating func publish() -> Bool {
    guard fault == nil else { return false }
    unpublishedCount = 0
    return ring.publishRequests()
  }

  mutating func armEvent() throws(BlockFrontFault) -> Bool {
    if let fault { throw fault }
    do { return try ring.armResponseEvent() } catch { throw giveUp(.ring(error)) }
  }

  /// Marks the ring as broken.
  mutating func giveUp(_ fault: BlockFrontFault) -> BlockFrontFault {
    self.fault = fault
    return fault
  }
}
