import SharedRing
import XenInterface

extension RequestTable {
  /// Takes the next response, checked against its request; nil when there is none.
  ///
  /// Throws when the back-end broke a rule, now and on every later call: no response after that can be trusted.
  mutating func reap() throws(BlockFrontFault) -> BlockFrontQueue.Completion? {
    if let fault { throw fault }
    let response: BlkifResponse
    do {
      guard let taken = try ring.takeResponse() else { return nil }
      response = taken
    } catch {
      throw giveUp(.ring(error))
    }
    let identifier = response.identifier
    guard identifier & 0xFFFF_FFFF < UInt64(rows.count) else { throw giveUp(.unknownIdentifier(identifier)) }
    let row = Int(identifier & 0xFFFF_FFFF)
    guard rows[row].generation & 1 == 1, rows[row].generation == UInt32(identifier >> 32) else {
      throw giveUp(.notWaiting(identifier: identifier))
    }
    guard response.operation == rows[row].operation else {
      throw giveUp(.wrongOperation(identifier: identifier, expected: rows[row].operation, found: response.operation))
    }
    let stillMapped = endAccess(row)
    guard stillMapped == 0 else { throw giveUp(.pagesStillMapped(identifier: identifier, count: stillMapped)) }
    let completion = BlockFrontQueue.Completion(tag: rows[row].tag, operation: response.operation, status: response.status)
    rows[row].generation &+= 1
    rows[row].firstPage = -1
    rows[row].pageCount = 0
    rows[row].nextFree = firstFree
    firstFree = Int32(row)
    return completion
  }

  /// Takes the grants of one request back. Returns how many pages the back-end still has mapped.
  private mutating func endAccess(_ row: Int) -> Int {
    var stillMapped = pool.endRequest(firstPage: rows[row].firstPage, count: rows[row].pageCount)
    while rows[row].firstIndirectPage >= 0 {
      let ended = pool.endIndirectPage(rows[row].firstIndirectPage)
      rows[row].firstIndirectPage = ended.next
      if !ended.isFree { stillMapped += 1 }
    }
    return stillMapped
  }
}
