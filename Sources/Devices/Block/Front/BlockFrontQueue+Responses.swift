import SharedRing
import XenInterface

extension BlockFrontQueue {
  /// Takes the next response, checked against its request; nil when there is none.
  ///
  /// Throws when the back-end broke a rule, now and on every later call: no response after that can be trusted.
  public func reap() throws(BlockFrontFault) -> Completion? {
    if let fault { throw fault }
    let response: BlkifResponse
    do {
      guard let taken = try ring.takeResponse() else { return nil }
      response = taken
    } catch {
      throw giveUp(.ring(error))
    }
    let identifier = response.identifier
    guard identifier & 0xFFFF_FFFF < UInt64(shadow.count) else { throw giveUp(.unknownIdentifier(identifier)) }
    let row = Int(identifier & 0xFFFF_FFFF)
    guard shadow[row].generation & 1 == 1, shadow[row].generation == UInt32(identifier >> 32) else {
      throw giveUp(.notWaiting(identifier: identifier))
    }
    guard response.operation == shadow[row].operation else {
      throw giveUp(.wrongOperation(identifier: identifier, expected: shadow[row].operation, found: response.operation))
    }
    let stillMapped = endAccess(row)
    guard stillMapped == 0 else { throw giveUp(.pagesStillMapped(identifier: identifier, count: stillMapped)) }
    let completion = Completion(tag: shadow[row].tag, operation: response.operation, status: response.status)
    shadow[row].generation &+= 1
    shadow[row].firstPage = -1
    shadow[row].pageCount = 0
    shadow[row].nextFree = firstFree
    firstFree = Int32(row)
    return completion
  }

  /// Calls `body` with the tag of every request that was submitted and not answered: for failing them.
  func forEachUnanswered(_ body: (_ tag: UInt64) -> Void) {
    for row in shadow where row.generation & 1 == 1 { body(row.tag) }
  }

  /// Takes the grants of one request back. Returns how many pages the back-end still has mapped.
  private func endAccess(_ row: Int) -> Int {
    var stillMapped = pool.endRequest(firstPage: shadow[row].firstPage, count: shadow[row].pageCount)
    while shadow[row].firstIndirectPage >= 0 {
      let table = shadow[row].firstIndirectPage
      shadow[row].firstIndirectPage = pool.nextPage[Int(table)]
      if pool.isPersistent || pool.revoke(Int(table)) { pool.indirectPages.append(table) } else { stillMapped += 1 }
    }
    return stillMapped
  }
}
