import NetInterface
import SharedMemory
import XenInterface
import XenPlatform

/// Grants of a queue that its front-end asked to be kept mapped (control requests 8 to 10; staging grants of netif.h): what is copied
/// from or to them costs neither a look at the grant entry nor its status word, and on Xen no hypercall.
///
/// They are used where a page is done with at once: headers and small frames of the guest, and all that it receives. What a port may
/// keep for longer is mapped as always, so that a front-end can have a mapping ended at any time.
final class KeptGrants {
  /// Grants that are kept at most: one for each slot of both rings.
  static let capacity = 2 * NetifLimits.slotsPerRing

  private struct Entry {
    var reference = GrantReference(rawValue: 0)
    var page: MappedPage?
  }

  /// Open addressing, half empty at least: a look-up ends soon, whatever references the guest has chosen. Reference by reference, so the
  /// worst that a guest can do is to make its own look-ups walk through all of them.
  private let entries = FixedTable(repeating: Entry(), count: 2 * KeptGrants.capacity)
  private let storedCount = FixedCell(0)

  var count: Int { storedCount.value }
  var isEmpty: Bool { @inline(__always) get { storedCount.value == 0 } }

  /// The page of a grant that is kept mapped; nil when it is not, or when it is kept for reading and `writable` is asked for.
  func page(of reference: GrantReference, writable: Bool) -> MappedPage? {
    guard !isEmpty, let page = entries[place(of: reference)].page, page.isWritable || !writable else { return nil }
    return page
  }

  /// Where `reference` is, or the free place where it would go.
  private func place(of reference: GrantReference) -> Int {
    let mask = entries.count - 1
    // The upper half of a product with an odd number: neighbouring references spread out (Fibonacci hashing).
    var place = Int(UInt64(reference.rawValue &* 0x9E37_79B1) >> 16) & mask
    while entries[place].page != nil, entries[place].reference != reference { place = (place + 1) & mask }
    return place
  }

  private func insert(_ reference: GrantReference, _ page: MappedPage) {
    entries[place(of: reference)] = Entry(reference: reference, page: page)
    storedCount.value += 1
  }

  /// Takes one out. The others that were placed behind it are placed again.
  private func take(_ reference: GrantReference) -> MappedPage? {
    var place = place(of: reference)
    guard let page = entries[place].page else { return nil }
    entries[place].page = nil
    storedCount.value -= 1
    let mask = entries.count - 1
    place = (place + 1) & mask
    while let moved = entries[place].page {
      let reference = entries[place].reference
      entries[place].page = nil
      storedCount.value -= 1
      insert(reference, moved)
      place = (place + 1) & mask
    }
    return page
  }
}

// MARK: - Control requests

extension KeptGrants {
  /// Maps all that `wanted` names, or none.
  func add(_ wanted: [NetifGrantMapping], _ grants: ForeignGrants) throws(NetControlRefusal) {
    guard count + wanted.count <= Self.capacity else { throw NetControlRefusal(.invalidParameter) }
    for (index, entry) in wanted.enumerated() {
      do throws(NetControlRefusal) { try add(entry, grants) } catch {
        for earlier in wanted[..<index] { if let page = take(earlier.grantReference) { grants.unmap(page) } }
        throw error
      }
    }
  }

  private func add(_ entry: NetifGrantMapping, _ grants: ForeignGrants) throws(NetControlRefusal) {
    guard entries[place(of: entry.grantReference)].page == nil else { throw NetControlRefusal(.invalidParameter) }
    let isReadOnly = NetifGrantMappingFlags(rawValue: entry.flags).contains(.readOnly)
    do throws(GrantError) { insert(entry.grantReference, try grants.map(entry.grantReference, writable: !isReadOnly)) } catch {
      throw NetControlRefusal(.invalidParameter)
    }
  }

  /// Unmaps what a page's entries name, and says in each of them whether it was mapped. Returns how many were.
  func remove(_ table: GrantReference, _ entryCount: Int, _ grants: ForeignGrants) throws(NetControlRefusal) -> UInt32 {
    let page: MappedPage
    do throws(GrantError) { page = try grants.map(table, writable: true) } catch { throw NetControlRefusal(.invalidParameter) }
    defer { grants.unmap(page) }
    let bytes = grants.bytes(of: page)
    var removed: UInt32 = 0
    for index in 0..<entryCount {
      let offset = index * NetifGrantMapping.byteCount
      var entry = NetifGrantMapping(copying: bytes, at: offset)
      let mapped = take(entry.grantReference)
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

  /// At the end of a connection.
  func removeAll(_ grants: ForeignGrants) {
    for index in 0..<entries.count {
      if let page = entries[index].page { grants.unmap(page) }
      entries[index].page = nil
    }
    storedCount.value = 0
  }
}
