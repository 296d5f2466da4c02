import SharedRing
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

  /// All that changes, in one value: each call here is one access to it, which the language checks once.
  private var requests: RequestTable

  /// Makes a ring of `ringPageCount` pages (a power of two) out of pages of `pool`. Nil when the pool has no such run of pages.
  /// - Parameter maximumIndirectSegments: what the back-end offers (`feature-max-indirect-segments`); used only above 11.
  /// - Parameter index: where the ring's indices start.
  public init?(pool: IOBufferPool, ringPageCount: Int, maximumIndirectSegments: Int, startingAt index: RingIndex = 0) {
    precondition(ringPageCount > 0 && ringPageCount & (ringPageCount - 1) == 0)
    guard let pages = pool.makeRing(pageCount: ringPageCount) else { return nil }
    self.pool = pool
    ringReferences = pages.references
    maximumSegmentCount = Self.maximumSegmentCount(indirect: maximumIndirectSegments)
    requests = RequestTable(
      ring: FrontRing(initializing: pages.bytes, entryByteCount: BlkifRequest.byteCount, startingAt: index), pool: pool,
      maximumSegmentCount: maximumSegmentCount)
  }

  /// Segments of one request when the back-end offers `indirect` in an indirect one.
  static func maximumSegmentCount(indirect: Int) -> Int {
    indirect > BlkifLimits.segmentsPerRequest
      ? min(indirect, BlkifLimits.segmentsPerIndirectRequest) : BlkifLimits.segmentsPerRequest
  }

  /// What the back-end did wrong. Once set, the ring is not touched any more.
  public var fault: BlockFrontFault? { requests.fault }
  /// Requests in flight, published or not.
  public var inFlightCount: Int { requests.inFlightCount }
  /// Requests that can be submitted now.
  public var freeRequestCount: Int { requests.freeRequestCount }
  /// Whether something was submitted that the back-end has not been shown.
  public var hasUnpublishedRequests: Bool { requests.hasUnpublishedRequests }

  // MARK: Requests

  /// Reads into, or writes from, all of `buffer`, at `sector` (512-byte units whatever the sector size).
  /// False when the ring is full or broken. The buffer must fit one request: ``maximumSegmentCount`` pages.
  public func submit(_ operation: BlkifOperation, sector: UInt64, buffer: IOBuffer, tag: UInt64) -> Bool {
    requests.submitTransfer(operation, sector: sector, firstPage: buffer.firstPage, byteCount: buffer.byteCount, tag: tag)
      != RequestTable.refused
  }

  /// Makes completed writes durable. `barrier` uses the older operation that does it as well (`BLKIF_OP_WRITE_BARRIER`, empty).
  public func submitFlush(barrier: Bool = false, tag: UInt64) -> Bool { requests.submitFlush(barrier: barrier, tag: tag) }

  /// Tells the back-end that the contents of `sectorCount` sectors are not needed any more.
  public func submitDiscard(sector: UInt64, sectorCount: UInt64, tag: UInt64) -> Bool {
    requests.submitDiscard(sector: sector, sectorCount: sectorCount, tag: tag)
  }

  /// As ``submit(_:sector:buffer:tag:)`` for part of a buffer. Returns the page after the last one used (-1 when the
  /// buffer ends there), or `RequestTable.refused`.
  func submitTransfer(_ operation: BlkifOperation, sector: UInt64, firstPage: Int32, byteCount: Int, tag: UInt64) -> Int32 {
    requests.submitTransfer(operation, sector: sector, firstPage: firstPage, byteCount: byteCount, tag: tag)
  }

  /// Shows the back-end what was submitted. Returns whether it wants a signal.
  public func flushRequests() -> Bool { requests.publish() }

  // MARK: Responses

  /// Takes the next response, checked against its request; nil when there is none.
  ///
  /// Throws when the back-end broke a rule, now and on every later call: no response after that can be trusted.
  public func reap() throws(BlockFrontFault) -> Completion? { try requests.reap() }

  /// Whether ``reap()`` would return or throw something: one look at shared memory.
  public var hasResponses: Bool { requests.hasResponses }

  /// Asks for an event at the next response. True: there is one already, do not sleep.
  public func armEvent() throws(BlockFrontFault) -> Bool { try requests.armEvent() }
}
