import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

extension RequestTable {
  mutating func submitFlush(barrier: Bool = false, tag: UInt64) -> Bool {
    guard let row = takeRow() else { return false }
    let operation = barrier ? BlkifOperation.writeBarrier : .flush
    var request = BlkifRequest()
    request.operation = operation.rawValue
    request.identifier = begin(row, operation, tag)
    ring.putRequest(request)
    return true
  }

  mutating func submitDiscard(sector: UInt64, sectorCount: UInt64, tag: UInt64) -> Bool {
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
  static var refused: Int32 { .min }

  /// Submits `byteCount` bytes from the linked pages that begin with `firstPage`. Returns the page after the last one used
  /// (-1 when the buffer ends there).
  mutating func submitTransfer(_ operation: BlkifOperation, sector: UInt64, firstPage: Int32, byteCount: Int, tag: UInt64) -> Int32 {
    let pageCount = (byteCount + pageByteCount - 1) / pageByteCount
    precondition(byteCount > 0 && byteCount % BlkifLimits.sectorByteCount == 0 && pageCount <= maximumSegmentCount, "not one request's worth")
    let isIndirect = pageCount > BlkifLimits.segmentsPerRequest
    if isIndirect, pool.indirectPageCount < Self.indirectPageCount(segments: pageCount) { return Self.refused }
    guard let row = takeRow() else { return Self.refused }
    rows[row].firstPage = firstPage
    rows[row].pageCount = Int32(pageCount)
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
      request.setSegment(segment(&page, byteCount: remaining, readOnly: operation == .write), at: index)
      remaining -= pageByteCount
    }
    ring.putRequest(request)
    return page
  }

  private mutating func putIndirect(
    _ operation: BlkifOperation, _ row: Int, _ identifier: UInt64, sector: UInt64, firstPage: Int32, byteCount: Int
  ) -> Int32 {
    let pageCount = Int(rows[row].pageCount)
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
      table = pool.takeIndirectPage(before: rows[row].firstIndirectPage)
      rows[row].firstIndirectPage = table
      let count = min(pageCount - number * BlkifLimits.segmentsPerIndirectPage, BlkifLimits.segmentsPerIndirectPage)
      pool.arena.bytes.withSlot(at: Int(table) * pageByteCount, byteCount: pageByteCount) { slot in
        for index in 0..<count {
          segment(&page, byteCount: remaining, readOnly: operation == .write).store(to: slot, at: index * BlkifSegment.byteCount)
          remaining -= pageByteCount
        }
      }
      request.setIndirectGrantReference(pool.use(table, readOnly: true).reference, at: number)
    }
    ring.putRequest(BlkifRequest(request))
    return page
  }

  /// Pages of segments that an indirect request with `segments` needs.
  static func indirectPageCount(segments: Int) -> Int {
    (segments + BlkifLimits.segmentsPerIndirectPage - 1) / BlkifLimits.segmentsPerIndirectPage
  }

  /// The next page of the transfer as a segment; `page` moves on.
  @inline(__always) private func segment(_ page: inout Int32, byteCount: Int, readOnly: Bool) -> BlkifSegment {
    let use = pool.use(page, readOnly: readOnly)
    var segment = BlkifSegment()
    segment.grantReference = use.reference
    segment.lastSector = UInt8(min(byteCount, pageByteCount) / BlkifLimits.sectorByteCount - 1)
    page = use.next
    return segment
  }

  mutating func takeRow() -> Int? {
    guard fault == nil, firstFree >= 0, ring.freeRequestCount > 0 else { return nil }
    let row = Int(firstFree)
    firstFree = rows[row].nextFree
    return row
  }

  /// Notes the request in its row and returns its identifier.
  mutating func begin(_ row: Int, _ operation: BlkifOperation, _ tag: UInt64) -> UInt64 {
    rows[row].tag = tag
    rows[row].operation = operation.rawValue
    rows[row].generation &+= 1
    unpublishedCount += 1
    return UInt64(rows[row].generation) << 32 | UInt64(row)
  }
}
