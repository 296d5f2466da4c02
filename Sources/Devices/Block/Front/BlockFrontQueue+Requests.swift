import SharedMemory
public import SharedRing
public import XenInterface
import XenPlatform

extension BlockFrontQueue {
  /// Reads into, or writes from, all of `buffer`, at `sector` (512-byte units whatever the sector size).
  /// False when the ring is full or broken. The buffer must fit one request: ``maximumSegmentCount`` pages.
  @inlinable public func submit(_ operation: BlkifOperation, sector: UInt64, buffer: IOBuffer, tag: UInt64) -> Bool {
    submitTransfer(operation, sector: sector, firstPage: buffer.firstPage, byteCount: buffer.byteCount, tag: tag) != Self.refused
  }

  /// Makes completed writes durable. `barrier` uses the older operation that does it as well (`BLKIF_OP_WRITE_BARRIER`, empty).
  @inlinable public func submitFlush(barrier: Bool = false, tag: UInt64) -> Bool {
    guard let row = takeRow() else { return false }
    let operation = barrier ? BlkifOperation.writeBarrier : .flush
    var request = BlkifRequest()
    request.operation = operation.rawValue
    request.identifier = begin(row, operation, tag)
    ring.putRequest(request)
    return true
  }

  /// Tells the back-end that the contents of `sectorCount` sectors are not needed any more.
  @inlinable public func submitDiscard(sector: UInt64, sectorCount: UInt64, tag: UInt64) -> Bool {
    guard let row = takeRow() else { return false }
    var request = BlkifRequestDiscard()
    request.operation = BlkifOperation.discard.rawValue
    request.identifier = begin(row, .discard, tag)
    request.sectorNumber = sector
    request.sectorCount = sectorCount
    ring.putRequest(BlkifRequest(request))
    return true
  }

  /// What ``submitTransfer(_:sector:firstPage:byteCount:tag:)`` returns when there is no room.
  @inlinable static var refused: Int32 { .min }

  /// Submits `byteCount` bytes from the linked pages that begin with `firstPage`. Returns the page after the last one used
  /// (-1 when the buffer ends there).
  @usableFromInline func submitTransfer(_ operation: BlkifOperation, sector: UInt64, firstPage: Int32, byteCount: Int, tag: UInt64) -> Int32 {
    let pageCount = (byteCount + pageByteCount - 1) / pageByteCount
    precondition(byteCount > 0 && byteCount % BlkifLimits.sectorByteCount == 0 && pageCount <= maximumSegmentCount, "not one request's worth")
    let isIndirect = pageCount > BlkifLimits.segmentsPerRequest
    if isIndirect, pool.indirectPages.count < Self.indirectPageCount(segments: pageCount) { return Self.refused }
    guard let row = takeRow() else { return Self.refused }
    shadow[row].firstPage = firstPage
    shadow[row].pageCount = Int32(pageCount)
    let identifier = begin(row, operation, tag)
    if isIndirect { return putIndirect(operation, row, identifier, sector: sector, firstPage: firstPage, byteCount: byteCount) }

    var request = BlkifRequest()
    request.operation = operation.rawValue
    request.segmentCount = UInt8(pageCount)
    request.identifier = identifier
    request.sectorNumber = sector
    var page = firstPage
    var remaining = byteCount
    for index in 0..<pageCount {
      request.setSegment(segment(page, byteCount: remaining, readOnly: operation == .write), at: index)
      remaining -= pageByteCount
      page = pool.nextPage[Int(page)]
    }
    ring.putRequest(request)
    return page
  }

  private func putIndirect(
    _ operation: BlkifOperation, _ row: Int, _ identifier: UInt64, sector: UInt64, firstPage: Int32, byteCount: Int
  ) -> Int32 {
    let pageCount = Int(shadow[row].pageCount)
    var request = BlkifRequestIndirect()
    request.operation = BlkifOperation.indirect.rawValue
    request.indirectOperation = operation.rawValue
    request.segmentCount = UInt16(pageCount)
    request.identifier = identifier
    request.sectorNumber = sector
    var page = firstPage
    var remaining = byteCount
    var table: Int32 = -1
    for number in 0..<Self.indirectPageCount(segments: pageCount) {
      table = pool.indirectPages.removeLast()
      pool.nextPage[Int(table)] = shadow[row].firstIndirectPage
      shadow[row].firstIndirectPage = table
      let count = min(pageCount - number * BlkifLimits.segmentsPerIndirectPage, BlkifLimits.segmentsPerIndirectPage)
      pool.arena.bytes.withSlot(at: Int(table) * pageByteCount, byteCount: pageByteCount) { slot in
        for index in 0..<count {
          segment(page, byteCount: remaining, readOnly: operation == .write).store(to: slot, at: index * BlkifSegment.byteCount)
          remaining -= pageByteCount
          page = pool.nextPage[Int(page)]
        }
      }
      request.setIndirectGrantReference(pool.grantForRequest(table, readOnly: true), at: number)
    }
    ring.putRequest(BlkifRequest(request))
    return page
  }

  /// Pages of segments that an indirect request with `segments` needs.
  @inlinable static func indirectPageCount(segments: Int) -> Int {
    (segments + BlkifLimits.segmentsPerIndirectPage - 1) / BlkifLimits.segmentsPerIndirectPage
  }

  @inlinable @inline(__always) func segment(_ page: Int32, byteCount: Int, readOnly: Bool) -> BlkifSegment {
    var segment = BlkifSegment()
    segment.grantReference = pool.grantForRequest(page, readOnly: readOnly)
    segment.lastSector = UInt8(min(byteCount, pageByteCount) / BlkifLimits.sectorByteCount - 1)
    return segment
  }

  @inlinable func takeRow() -> Int? {
    guard fault == nil, firstFree >= 0, ring.freeRequestCount > 0 else { return nil }
    let row = Int(firstFree)
    firstFree = shadow[row].nextFree
    return row
  }

  /// Notes the request in its row and returns its identifier.
  @inlinable func begin(_ row: Int, _ operation: BlkifOperation, _ tag: UInt64) -> UInt64 {
    shadow[row].tag = tag
    shadow[row].operation = operation.rawValue
    shadow[row].generation &+= 1
    unpublishedCount += 1
    return UInt64(shadow[row].generation) << 32 | UInt64(row)
  }
}
