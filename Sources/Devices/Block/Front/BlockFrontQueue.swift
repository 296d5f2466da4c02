public import SharedRing
public import XenInterface

/// One ring with its table of requests in flight: submit, publish, reap. Synchronous, without a loop, for one thread.
///
/// ```swift
/// guard queue.submit(.read, sector: 0, buffer: buffer, tag: 7) else { … }   // full: reap first
/// if queue.flushRequests() { channel.signal() }
/// while let completion = try queue.reap() { … }                            // completion.tag == 7
/// ```
/// Nothing is allocated per request: the table has one row for each entry of the ring, because no more can be in flight.
public final class BlockFrontQueue {
  /// What the back-end said of one request.
  @frozen public struct Completion: Sendable {
    /// The tag that the request was submitted with.
    public var tag: UInt64
    /// The request's operation; for indirect requests the wrapped one (`BlkifOperation`).
    public var operation: UInt8
    /// A `BlkifStatus`; everything but `okay` is a failure.
    public var status: Int16

    @inlinable public init(tag: UInt64, operation: UInt8, status: Int16) {
      self.tag = tag
      self.operation = operation
      self.status = status
    }
  }

  public let pool: IOBufferPool
  /// The ring's pages, in order, as the back-end maps them.
  public let ringReferences: [GrantReference]
  /// Most segments of one request: 11, or what the back-end takes in indirect ones.
  public let maximumSegmentCount: Int
  /// What the back-end did wrong. Once set, the ring is not touched any more.
  public internal(set) var fault: BlockFrontFault?

  @usableFromInline var ring: FrontRing<BlkifRequest, BlkifResponse>
  @usableFromInline var shadow: [Shadow]
  @usableFromInline var firstFree: Int32
  @usableFromInline var unpublishedCount = 0

  /// One row for each request that can be in flight; its index is the low half of the request's identifier.
  @usableFromInline struct Shadow {
    @usableFromInline var tag: UInt64 = 0
    /// High half of the identifier, so that a late answer is not taken for one to the row's next request. Even: not waiting.
    @usableFromInline var generation: UInt32 = 0
    @usableFromInline var nextFree: Int32 = -1
    @usableFromInline var firstPage: Int32 = -1
    @usableFromInline var pageCount: Int32 = 0
    @usableFromInline var firstIndirectPage: Int32 = -1
    @usableFromInline var operation: UInt8 = 0

    @inlinable init() {}
  }

  /// Makes a ring of `ringPageCount` pages (a power of two) out of pages of `pool`. Nil when the pool has no such run of pages.
  /// - Parameter maximumIndirectSegments: what the back-end offers (`feature-max-indirect-segments`); used only above 11.
  /// - Parameter index: where the ring's indices start.
  public init?(pool: IOBufferPool, ringPageCount: Int, maximumIndirectSegments: Int, startingAt index: RingIndex = 0) {
    precondition(ringPageCount > 0 && ringPageCount & (ringPageCount - 1) == 0)
    guard let pages = pool.makeRing(pageCount: ringPageCount) else { return nil }
    self.pool = pool
    ringReferences = pages.references
    ring = FrontRing(initializing: pages.bytes, entryByteCount: BlkifRequest.byteCount, startingAt: index)
    maximumSegmentCount = Self.maximumSegmentCount(indirect: maximumIndirectSegments)
    shadow = Array(repeating: Shadow(), count: ring.entryCount)
    for row in shadow.indices { shadow[row].nextFree = row + 1 < shadow.count ? Int32(row + 1) : -1 }
    firstFree = 0
  }

  /// Segments of one request when the back-end offers `indirect` in an indirect one.
  static func maximumSegmentCount(indirect: Int) -> Int {
    indirect > BlkifLimits.segmentsPerRequest
      ? min(indirect, BlkifLimits.segmentsPerIndirectRequest) : BlkifLimits.segmentsPerRequest
  }

  /// Requests in flight, published or not.
  @inlinable public var inFlightCount: Int { ring.outstandingCount }
  /// Requests that can be submitted now.
  @inlinable public var freeRequestCount: Int { fault == nil ? ring.freeRequestCount : 0 }

  /// Whether something was submitted that the back-end has not been shown.
  @inlinable public var hasUnpublishedRequests: Bool { unpublishedCount > 0 && fault == nil }

  /// Shows the back-end what was submitted. Returns whether it wants a signal.
  @inlinable public func flushRequests() -> Bool {
    guard fault == nil else { return false }
    unpublishedCount = 0
    return ring.publishRequests()
  }

  /// Whether ``reap()`` would return or throw something: one look at shared memory.
  @inlinable public var hasResponses: Bool { fault == nil && ring.hasResponses() }

  /// Asks for an event at the next response. True: there is one already, do not sleep.
  public func armEvent() throws(BlockFrontFault) -> Bool {
    if let fault { throw fault }
    do { return try ring.armResponseEvent() } catch { throw giveUp(.ring(error)) }
  }

  /// Marks the ring as broken.
  @usableFromInline func giveUp(_ fault: BlockFrontFault) -> BlockFrontFault {
    self.fault = fault
    return fault
  }
}
