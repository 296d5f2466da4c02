import SharedMemory
import XenInterface

/// Arenas of one granter and what is mapped of them: the algorithm that the hypervisor would run (`map_grant_ref`,
/// xen/common/grant_table.c), on the shared entries and status words.
///
/// One struct with flat tables, so that a call is one exclusive access and neither copies nor retains.
struct ForeignMappings: ~Copyable {
  /// How often a page is mapped: the shared status word has only one bit for all of our mappings.
  struct Counts {
    var readers: UInt16 = 0
    var writers: UInt16 = 0
  }

  let domain: DomainID
  let limit: Int
  private(set) var arenas: [ForeignArena] = []
  var counts = FixedTable(repeating: Counts(), count: 0)
  /// Where an arena's counts start in `counts`.
  var firstCounts: [Int] = []
  var mappedCount = 0
  /// What entries said when a batch was copied: they are looked at again behind it.
  let words = FixedTable(repeating: UInt32(0), count: 64)
  /// The arena that the last reference was in: most often the next one is there too.
  private var lastIndex = 0

  init(mappedBy domain: DomainID, limit: Int) {
    self.domain = domain
    self.limit = limit
  }

  mutating func add(_ arena: ForeignArena) {
    arenas.append(arena)
    let before = counts.count
    firstCounts.append(before)
    let larger = FixedTable(repeating: Counts(), count: before + arena.memory.pageCount)
    for position in 0..<before { larger[position] = counts[position] }
    counts = larger
  }

  /// The number of the arena that holds `reference`, or nil when it has not been added.
  @inline(__always) mutating func index(of reference: GrantReference) -> Int? {
    if lastIndex < arenas.count, arenas[lastIndex].slot(of: reference) != nil { return lastIndex }
    guard let index = arenas.indices.first(where: { arenas[$0].slot(of: reference) != nil }) else { return nil }
    lastIndex = index
    return index
  }

  /// Looks at an entry: whether it lets us in, and to which page of the arena. Returned with the word that says so, for another look.
  @inline(__always) private func entry(_ slot: Int, in index: Int, _ reference: GrantReference) throws(GrantError) -> (word: UInt32, frame: UInt64) {
    let offset = slot * GrantEntryLayout.entryByteCount
    // Flags and domain at once. Pairs with the granter's release of the flags: domain and frame belong to these flags.
    let word = arenas[index].memory.entries.loadAcquire32(at: offset + GrantEntryLayout.flagsOffset)
    let frame = arenas[index].memory.entries.load64(at: offset + GrantEntryLayout.frameOffset)
    try check(word, frame, pageCount: arenas[index].memory.pageCount, reference)
    return (word, frame)
  }

  /// Whether an entry lets us in, and leads to a page that there is.
  @inline(__always) func check(_ word: UInt32, _ frame: UInt64, pageCount: Int, _ reference: GrantReference) throws(GrantError) {
    guard UInt16(truncatingIfNeeded: word) & GrantEntryLayout.typeMask == GrantEntryLayout.permitAccess, word >> 16 == UInt32(domain.rawValue)
    else { throw .badReference(reference) }
    guard frame < UInt64(pageCount) else { throw .badPage(reference, frame: frame) }
  }

  /// Copies out of a page that stays unmapped. False when no arena that was added holds `reference`.
  ///
  /// The status word says to the granter that a page is in use for longer. Here the entry is looked at again instead when the copy is
  /// done: a grant that was taken back meanwhile, whose page may be something else by now, is an error, and its bytes are not used.
  @inline(__always) mutating func copyOut(
    of reference: GrantReference, at offset: Int, byteCount count: Int, to destination: SharedBytes, at place: Int
  ) throws(GrantError) -> Bool {
    precondition(offset >= 0 && count >= 0 && offset <= pageByteCount - count, "stretch outside its page")
    guard let index = index(of: reference), let slot = arenas[index].slot(of: reference) else { return false }
    let (word, frame) = try entry(slot, in: index, reference)
    destination.copy(
      from: arenas[index].memory.data, sourceOffset: Int(truncatingIfNeeded: frame) * pageByteCount + offset, to: place, byteCount: count)
    // Pairs with the granter, which takes a grant back before it uses the page for something else.
    sharedMemoryLoadFence()
    guard arenas[index].memory.entries.loadAcquire32(at: slot * GrantEntryLayout.entryByteCount) == word else {
      throw .changedWhileMapping(reference)
    }
    return true
  }

  /// Fetches what the page of a reference has at `offset`, as far as there is such a page. Neither its entry nor who may use it is looked at:
  /// nothing is read, and a granter's entries name the pages in order (``ArenaMemory/firstReference``).
  @inline(__always) mutating func prefetch(_ reference: GrantReference, at offset: Int) {
    guard let index = index(of: reference), let slot = arenas[index].slot(of: reference), offset >= 0, offset < pageByteCount else { return }
    arenas[index].memory.data.prefetchForReading(at: slot * pageByteCount + offset)
  }

  /// Maps one page, or returns nil when no arena that was added holds `reference`.
  @inline(__always) mutating func map(_ reference: GrantReference, writable: Bool) throws(GrantError) -> MappedPage? {
    guard let index = index(of: reference), let slot = arenas[index].slot(of: reference) else { return nil }
    if writable, arenas[index].access == .readOnly { throw .readOnly(reference) }
    guard mappedCount < limit else { throw .tooManyMapped(limit: limit) }
    let (word, frame) = try entry(slot, in: index, reference)
    if writable, UInt16(truncatingIfNeeded: word) & GrantEntryLayout.readOnly != 0 { throw .readOnly(reference) }

    let position = firstCounts[index] + slot
    var mapped = counts[position]
    guard mapped.readers < .max else { throw .tooManyMapped(limit: Int(UInt16.max)) }
    if mapped.readers == 0 || (writable && mapped.writers == 0) {
      let bits = writable ? GrantEntryLayout.reading | GrantEntryLayout.writing : GrantEntryLayout.reading
      // Sequentially consistent, and pairs with the granter's "clear the flags, fence, read the status".
      arenas[index].memory.status.fetchOr16(bits, at: slot * GrantEntryLayout.statusByteCount)
      if arenas[index].memory.entries.loadAcquire32(at: slot * GrantEntryLayout.entryByteCount) != word {
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

  /// Maps a page once more: its status word says so already. False when there are too many mapped.
  @inline(__always) mutating func hold(_ page: MappedPage) -> Bool {
    let position = firstCounts[Int(page.arena)] + Int(page.page)
    var mapped = counts[position]
    precondition(mapped.readers > 0, "a page that is not mapped")
    guard mappedCount < limit, mapped.readers < .max else { return false }
    mapped.readers += 1
    if page.isWritable { mapped.writers += 1 }
    counts[position] = mapped
    mappedCount += 1
    return true
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

  /// Clears the status bits that no mapping of ours needs any more. Only the mapper writes the word, so a store is enough: what was done
  /// with the page is done before the granter can see it.
  @inline(__always) private func settleStatus(of slot: Int, in index: Int, _ mapped: Counts) {
    arenas[index].memory.status.storeRelease16(Self.statusBits(mapped), at: slot * GrantEntryLayout.statusByteCount)
  }

  @inline(__always) static func statusBits(_ mapped: Counts) -> UInt16 {
    (mapped.readers > 0 ? GrantEntryLayout.reading : 0) | (mapped.writers > 0 ? GrantEntryLayout.writing : 0)
  }
}
