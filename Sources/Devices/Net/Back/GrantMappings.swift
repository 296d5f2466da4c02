import NetInterface
import SharedMemory
import XenInterface
import XenPlatform

/// Grants of a queue that its front-end asked to be kept mapped (control requests 8 to 10; staging grants of netif.h): frames in
/// them cost neither a look at the grant entry nor its status word.
struct GrantMappings {
  private var pages: [GrantReference: MappedPage] = [:]

  /// Grants that are kept at most: one for each slot of both rings.
  let capacity = 2 * NetifLimits.slotsPerRing

  var isEmpty: Bool { pages.isEmpty }

  /// The page of a grant that is kept mapped; nil when it is not, or when it is kept for reading and `writable` is asked for.
  func page(of reference: GrantReference, writable: Bool) -> MappedPage? {
    guard let page = pages[reference], page.isWritable || !writable else { return nil }
    return page
  }

  /// Maps all that `entries` name, or none.
  mutating func add(_ entries: [NetifGrantMapping], _ grants: ForeignGrants) throws(NetControlRefusal) {
    guard pages.count + entries.count <= capacity else { throw NetControlRefusal(.bufferOverflow) }
    var added: [(GrantReference, MappedPage)] = []
    do throws(NetControlRefusal) {
      for entry in entries {
        guard pages[entry.grantReference] == nil, !added.contains(where: { $0.0 == entry.grantReference }) else {
          throw NetControlRefusal(.invalidParameter)
        }
        let isReadOnly = NetifGrantMappingFlags(rawValue: entry.flags).contains(.readOnly)
        do throws(GrantError) { added.append((entry.grantReference, try grants.map(entry.grantReference, writable: !isReadOnly))) } catch {
          throw NetControlRefusal(.invalidParameter)
        }
      }
    } catch {
      for (_, page) in added { grants.unmap(page) }
      throw error
    }
    for (reference, page) in added { pages[reference] = page }
  }

  /// Unmaps what the page's entries name, and says in each of them whether it was mapped. Returns how many were.
  mutating func remove(_ table: GrantReference, _ entryCount: Int, _ grants: ForeignGrants) throws(NetControlRefusal) -> UInt32 {
    let page: MappedPage
    do throws(GrantError) { page = try grants.map(table, writable: true) } catch { throw NetControlRefusal(.invalidParameter) }
    defer { grants.unmap(page) }
    let bytes = grants.bytes(of: page)
    var removed: UInt32 = 0
    for index in 0..<entryCount {
      let offset = index * NetifGrantMapping.byteCount
      var entry = NetifGrantMapping(copying: bytes, at: offset)
      let mapped = pages.removeValue(forKey: entry.grantReference)
      if let mapped {
        grants.unmap(mapped)
        removed += 1
      }
      let status: NetifControlStatus = mapped == nil ? .invalidParameter : .success
      entry.status = UInt16(status.rawValue)
      entry.store(to: bytes, at: offset)
    }
    return removed
  }

  mutating func unmapAll(_ grants: ForeignGrants) {
    for page in pages.values { grants.unmap(page) }
    pages = [:]
  }
}
