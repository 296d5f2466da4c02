import NetInterface
import SharedMemory
import XenInterface
import XenPlatform

/// Grants of a queue that its front-end asked to be kept mapped (control requests 8 to 10; staging grants of netif.h): what is copied
/// from or to them costs neither a look at the grant entry nor its status word, and on Xen no hypercall.
///
/// What a port may have for longer, the rest of a large frame of the guest, is mapped once more for that, so that a front-end can have a grant
/// kept no longer at any time.
final class KeptGrants {
  /// Grants that are kept at most: enough for a front-end with two pages for each slot of both rings, and some dozens of the longest frames.
  static let capacity = 2048

  /// What a look-up reads: four of them are in a cache line. Not private, because Swift 6.3 emits a module that does not verify when it is.
  struct Entry {
    /// Where the page is; 0: the place is free.
    var address: UInt = 0
    var reference = GrantReference(rawValue: 0)
    var isWritable = false
  }

  /// Open addressing, half empty at least: a look-up ends soon. Which references come to lie beside each other no guest can know
  /// (``salt``), so that none can choose them for look-ups to walk through all.
  struct Table: ~Copyable {
    let entries: FixedTable<Entry>
    /// What is unmapped when it is kept no longer, by the place of its entry.
    let pages: FixedTable<MappedPage>

    init(count: Int) {
      entries = FixedTable(repeating: Entry(), count: count)
      pages = FixedTable(repeating: MappedPage(address: 0, arena: -1, page: 0, isWritable: false), count: count)
    }
  }

  /// Without a place before the first grant is kept: most front-ends never ask for it.
  private let table = FixedCell(Table(count: 0))
  private let storedCount = FixedCell(0)
  /// Another one for each queue.
  private let salt = UInt32.random(in: .min ... .max)

  var count: Int { storedCount.value }
  var isEmpty: Bool { @inline(__always) get { storedCount.value == 0 } }

  /// Where the page of a grant is that is kept mapped; nil when it is not, or when it is kept for reading and `writable` is asked for.
  @inline(__always) func address(of reference: GrantReference, writable: Bool) -> UInt? {
    if isEmpty { return nil }
    let entry = table.value.entries[place(of: reference)]
    return entry.address != 0 && (entry.isWritable || !writable) ? entry.address : nil
  }

  /// The same page, for those who name it.
  @inline(__always) func page(of reference: GrantReference, writable: Bool) -> MappedPage? {
    if isEmpty { return nil }
    let place = place(of: reference)
    let entry = table.value.entries[place]
    return entry.address != 0 && (entry.isWritable || !writable) ? table.value.pages[place] : nil
  }

  /// Where `reference` is, or the free place where it would go.
  @inline(__always) private func place(of reference: GrantReference) -> Int {
    let mask = table.value.entries.count - 1
    // Eight neighbours stay side by side, in two cache lines. The upper half of a product with an odd number: their neighbours are somewhere
    // else (Fibonacci hashing), so that runs of references do not come to lie on one another.
    let group = Int((((reference.rawValue >> 3) ^ salt) &* 0x9E37_79B1) >> 16) << 3
    var place = (group | Int(reference.rawValue & 7)) & mask
    while table.value.entries[place].address != 0, table.value.entries[place].reference != reference { place = (place + 1) & mask }
    return place
  }

  private func insert(_ reference: GrantReference, _ page: MappedPage) {
    let place = place(of: reference)
    table.value.entries[place] = Entry(address: page.address, reference: reference, isWritable: page.isWritable)
    table.value.pages[place] = page
    storedCount.value += 1
  }

  /// Takes one out. The others that were placed behind it are placed again.
  private func take(_ reference: GrantReference) -> MappedPage? {
    if isEmpty { return nil }
    var place = place(of: reference)
    guard table.value.entries[place].address != 0 else { return nil }
    let page = table.value.pages[place]
    clear(place)
    let mask = table.value.entries.count - 1
    place = (place + 1) & mask
    while table.value.entries[place].address != 0 {
      let (reference, moved) = (table.value.entries[place].reference, table.value.pages[place])
      clear(place)
      insert(reference, moved)
      place = (place + 1) & mask
    }
    return page
  }

  private func clear(_ place: Int) {
    table.value.entries[place] = Entry()
    storedCount.value -= 1
  }
}

// MARK: - Control requests

extension KeptGrants {
  /// Maps all that `wanted` names, or none.
  func add(_ wanted: [NetifGrantMapping], _ grants: ForeignGrants) throws(NetControlRefusal) {
    guard count + wanted.count <= Self.capacity else { throw NetControlRefusal(.invalidParameter) }
    if table.value.entries.count == 0 { table.value = Table(count: 2 * Self.capacity) }
    for (index, entry) in wanted.enumerated() {
      do throws(NetControlRefusal) { try add(entry, grants) } catch {
        for earlier in wanted[..<index] { if let page = take(earlier.grantReference) { grants.unmap(page) } }
        throw error
      }
    }
  }

  private func add(_ entry: NetifGrantMapping, _ grants: ForeignGrants) throws(NetControlRefusal) {
    guard page(of: entry.grantReference, writable: false) == nil else { throw NetControlRefusal(.invalidParameter) }
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
    for place in 0..<table.value.entries.count where table.value.entries[place].address != 0 { grants.unmap(table.value.pages[place]) }
    table.value = Table(count: 0)
    storedCount.value = 0
  }
}
