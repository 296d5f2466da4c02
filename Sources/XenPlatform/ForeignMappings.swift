import SharedMemory
import XenInterface

/// Arenas of one granter and what is mapped of them: the algorithm that the hypervisor would run (`map_grant_ref`,
/// xen/common/grant_table.c), on the shared entries and status words.
///
/// One struct with flat tables, so that a call is one exclusive access and neither copies nor retains.
struct ForeignMappings {
  /// How often a page is mapped: the shared status word has only one bit for all of our mappings.
  private struct Counts {
    var readers: UInt16 = 0
    var writers: UInt16 = 0
  }

  private let domain: DomainID
  private let limit: Int
  private(set) var arenas: [ForeignArena] = []
  private var counts: [Counts] = []
  /// Where an arena's counts start in `counts`.
  private var firstCounts: [Int] = []
  private(set) var mappedCount = 0
  /// The arena that the last reference was in: most often the next one is there too.
  private var lastIndex = 0

  init(mappedBy domain: DomainID, limit: Int) {
    self.domain = domain
    self.limit = limit
  }

  mutating func add(_ arena: ForeignArena) {
    arenas.append(arena)
    firstCounts.append(counts.count)
    counts.append(contentsOf: repeatElement(Counts(), count: arena.memory.pageCount))
  }

  /// The number of the arena that holds `reference`, or nil when it has not been added.
  @inline(__always) private mutating func index(of reference: GrantReference) -> Int? {
    if lastIndex < arenas.count, arenas[lastIndex].slot(of: reference) != nil { return lastIndex }
    guard let index = arenas.indices.first(where: { arenas[$0].slot(of: reference) != nil }) else { return nil }
    lastIndex = index
    return index
  }

  /// Maps one page, or returns nil when no arena that was added holds `reference`.
  @inline(__always) mutating func map(_ reference: GrantReference, writable: Bool) throws(GrantError) -> MappedPage? {
    guard let index = index(of: reference), let slot = arenas[index].slot(of: reference) else { return nil }
    if writable, arenas[index].access == .readOnly { throw .readOnly(reference) }
    guard mappedCount < limit else { throw .tooManyMapped(limit: limit) }
    let entry = slot * GrantEntryLayout.entryByteCount

    // Pairs with the granter's release of the flags: domain and frame belong to these flags.
    let flags = arenas[index].memory.entries.loadAcquire16(at: entry + GrantEntryLayout.flagsOffset)
    let allowed = arenas[index].memory.entries.load16(at: entry + GrantEntryLayout.domainOffset)
    let frame = arenas[index].memory.entries.load64(at: entry + GrantEntryLayout.frameOffset)
    guard flags & GrantEntryLayout.typeMask == GrantEntryLayout.permitAccess, allowed == domain.rawValue else { throw .badReference(reference) }
    if writable, flags & GrantEntryLayout.readOnly != 0 { throw .readOnly(reference) }
    guard frame < UInt64(arenas[index].memory.pageCount) else { throw .badPage(reference, frame: frame) }

    let position = firstCounts[index] + slot
    var mapped = counts[position]
    guard mapped.readers < .max else { throw .tooManyMapped(limit: Int(UInt16.max)) }
    if mapped.readers == 0 || (writable && mapped.writers == 0) {
      let bits = writable ? GrantEntryLayout.reading | GrantEntryLayout.writing : GrantEntryLayout.reading
      // Sequentially consistent, and pairs with the granter's "clear the flags, fence, read the status".
      arenas[index].memory.status.fetchOr16(bits, at: slot * GrantEntryLayout.statusByteCount)
      let again = arenas[index].memory.entries.loadAcquire16(at: entry + GrantEntryLayout.flagsOffset)
      if again != flags {
        settleStatus(of: slot, in: index, mapped)
        throw .changedWhileMapping(reference)
      }
    }
    mapped.readers += 1
    if writable { mapped.writers += 1 }
    counts[position] = mapped
    mappedCount += 1
    // The page is named by its entry, which is what unmapping needs; the frame is in the address.
    return MappedPage(
      address: arenas[index].memory.data.address + UInt(frame) * UInt(pageByteCount), arena: Int32(truncatingIfNeeded: index),
      page: Int32(truncatingIfNeeded: slot), isWritable: writable)
  }

  @inline(__always) mutating func unmap(_ page: MappedPage) {
    let index = Int(page.arena)
    let slot = Int(page.page)
    precondition(slot >= 0 && slot < arenas[index].memory.pageCount, "page of another mapper")
    let position = firstCounts[index] + slot
    var mapped = counts[position]
    precondition(mapped.readers > 0 && (!page.isWritable || mapped.writers > 0), "page unmapped twice")
    mapped.readers -= 1
    if page.isWritable { mapped.writers -= 1 }
    counts[position] = mapped
    mappedCount -= 1
    if mapped.readers == 0 || (page.isWritable && mapped.writers == 0) { settleStatus(of: slot, in: index, mapped) }
  }

  /// Clears the status bits that no mapping of ours needs any more.
  @inline(__always) private func settleStatus(of slot: Int, in index: Int, _ mapped: Counts) {
    var keep: UInt16 = ~(GrantEntryLayout.reading | GrantEntryLayout.writing)
    if mapped.readers > 0 { keep |= GrantEntryLayout.reading }
    if mapped.writers > 0 { keep |= GrantEntryLayout.writing }
    arenas[index].memory.status.fetchAnd16(keep, at: slot * GrantEntryLayout.statusByteCount)
  }
}
