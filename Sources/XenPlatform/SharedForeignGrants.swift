public import LinuxSystem
public import SharedMemory
public import XenInterface

/// Finds the memory behind a grant reference: the slow path of ``SharedForeignGrants``.
public protocol ForeignArenaSource: AnyObject, Sendable {
  /// The arena of `granter` that holds `reference` and is meant for this domain, or nil when there is none.
  func openArena(containing reference: GrantReference, of granter: DomainID) throws(PlatformError) -> ForeignArena?
}

/// One arena of another domain, opened in this process.
public final class ForeignArena {
  let memory: ArenaMemory
  let access: GrantAccess
  let file: SharedDescriptor
  /// How often each page is mapped here: the shared status word has only one bit for all of our mappings.
  var readerCounts: [UInt16]
  var writerCounts: [UInt16]

  /// For platforms. `file` is the arena's data file, needed to map scattered pages side by side.
  public init(memory: ArenaMemory, access: GrantAccess, file: SharedDescriptor) {
    self.memory = memory
    self.access = access
    self.file = file
    self.readerCounts = Array(repeating: 0, count: memory.pageCount)
    self.writerCounts = Array(repeating: 0, count: memory.pageCount)
  }
}

/// Mapping without a hypervisor: this process runs, on the shared entries and status words, the algorithm that the
/// hypervisor would run (`map_grant_ref`, xen/common/grant_table.c). No system call.
///
/// What a lying granter can do: make us read other bytes of an arena that it shares with us anyway. See docs/threat-model.md.
public final class SharedForeignGrants: ForeignGrants {
  private let domain: DomainID
  private let source: any ForeignArenaSource
  private let maximumMappedPages: Int
  private var arenas: [ForeignArena] = []
  private var mappedCount = 0
  /// References that no arena had, not asked again: a peer cannot make us ask the broker without end.
  private var failedLookups = 0
  private static let maximumFailedLookups = 1024

  /// `domain` is who we are: entries meant for anybody else are refused.
  public init(granter: DomainID, mappedBy domain: DomainID, source: any ForeignArenaSource, maximumMappedPages: Int = 1 << 20) {
    self.domain = domain
    self.source = source
    self.maximumMappedPages = maximumMappedPages
    super.init(granter: granter)
  }

  public override var mappedPageCount: Int { mappedCount }

  public override var accessibleRanges: [SharedVector] {
    arenas.map { $0.memory.data.vector(at: 0, byteCount: $0.memory.pageCount * pageByteCount) }
  }

  public override func map(_ reference: GrantReference, writable: Bool) throws(GrantError) -> MappedPage {
    let index = try arenaIndex(of: reference)
    return try map(reference, arena: arenas[index], index: index, writable: writable)
  }

  private func map(_ reference: GrantReference, arena: ForeignArena, index: Int, writable: Bool) throws(GrantError) -> MappedPage {
    if writable, arena.access == .readOnly { throw .readOnly(reference) }
    guard mappedCount < maximumMappedPages else { throw .tooManyMapped(limit: maximumMappedPages) }
    let slot = Int(reference.rawValue &- arena.memory.firstReference.rawValue)
    let entry = slot * GrantEntryLayout.entryByteCount
    let statusOffset = slot * GrantEntryLayout.statusByteCount

    // Pairs with the granter's release of the flags: domain and frame belong to these flags.
    let flags = arena.memory.entries.loadAcquire16(at: entry + GrantEntryLayout.flagsOffset)
    let allowed = arena.memory.entries.load16(at: entry + GrantEntryLayout.domainOffset)
    let frame = arena.memory.entries.load64(at: entry + GrantEntryLayout.frameOffset)
    guard flags & GrantEntryLayout.typeMask == GrantEntryLayout.permitAccess, allowed == domain.rawValue else { throw .badReference(reference) }
    if writable, flags & GrantEntryLayout.readOnly != 0 { throw .readOnly(reference) }
    guard frame < UInt64(arena.memory.pageCount) else { throw .badPage(reference, frame: frame) }
    let page = Int(frame)

    if arena.readerCounts[slot] == 0 || (writable && arena.writerCounts[slot] == 0) {
      let bits = writable ? GrantEntryLayout.reading | GrantEntryLayout.writing : GrantEntryLayout.reading
      // Sequentially consistent, and pairs with the granter's "clear the flags, fence, read the status".
      arena.memory.status.fetchOr16(bits, at: statusOffset)
      let again = arena.memory.entries.loadAcquire16(at: entry + GrantEntryLayout.flagsOffset)
      if again != flags {
        settleStatus(of: slot, in: arena)
        throw .changedWhileMapping(reference)
      }
    }
    guard arena.readerCounts[slot] < .max else { throw .tooManyMapped(limit: Int(UInt16.max)) }
    arena.readerCounts[slot] += 1
    if writable { arena.writerCounts[slot] += 1 }
    mappedCount += 1
    let address = arena.memory.data.address + UInt(page * pageByteCount)
    // `page` names the entry's slot, which is what unmapping needs; the frame is in the address.
    return MappedPage(address: address, arena: Int32(index), page: Int32(slot), isWritable: writable)
  }

  public override func unmap(_ page: MappedPage) {
    let arena = arenas[Int(page.arena)]
    let slot = Int(page.page)
    precondition(arena.readerCounts[slot] > 0, "page unmapped twice")
    arena.readerCounts[slot] -= 1
    if page.isWritable { arena.writerCounts[slot] -= 1 }
    mappedCount -= 1
    if arena.readerCounts[slot] == 0 || (page.isWritable && arena.writerCounts[slot] == 0) { settleStatus(of: slot, in: arena) }
  }

  /// Clears the status bits that no mapping of ours needs any more.
  private func settleStatus(of slot: Int, in arena: ForeignArena) {
    var keep: UInt16 = ~(GrantEntryLayout.reading | GrantEntryLayout.writing)
    if arena.readerCounts[slot] > 0 { keep |= GrantEntryLayout.reading }
    if arena.writerCounts[slot] > 0 { keep |= GrantEntryLayout.writing }
    arena.memory.status.fetchAnd16(keep, at: slot * GrantEntryLayout.statusByteCount)
  }

  public override func bytes(of page: MappedPage) -> SharedBytes {
    let data = arenas[Int(page.arena)].memory.data
    return data.slice(at: Int(page.address - data.address), byteCount: pageByteCount)
  }

  public override func mapContiguously(_ references: [GrantReference]) throws(GrantError) -> GrantMapping {
    var pages: [MappedPage] = []
    do throws(GrantError) {
      for reference in references { pages.append(try map(reference, writable: true)) }
      return GrantMapping(bytes: try contiguousBytes(of: pages, references: references), pages: pages, grants: self)
    } catch {
      for page in pages { unmap(page) }
      throw error
    }
  }

  private func contiguousBytes(of pages: [MappedPage], references: [GrantReference]) throws(GrantError) -> SharedBytes {
    guard let first = pages.first else { throw .badReference(GrantReference(rawValue: 0)) }
    for (page, reference) in zip(pages, references) where page.arena != first.arena { throw .badReference(reference) }
    let arena = arenas[Int(first.arena)]
    let offsets = pages.map { Int($0.address - arena.memory.data.address) }
    if zip(offsets, offsets.dropFirst()).allSatisfy({ $1 == $0 + pageByteCount }) {
      return arena.memory.data.slice(at: offsets[0], byteCount: pages.count * pageByteCount)
    }
    do {
      return try SharedRegion(mappingPages: offsets.map { $0 / pageByteCount }, of: arena.file.descriptor, access: .readWrite).bytes
    } catch {
      throw .platform(.system(operation: "map \(pages.count) scattered pages side by side", error))
    }
  }

  private func arenaIndex(of reference: GrantReference) throws(GrantError) -> Int {
    for index in arenas.indices {
      let memory = arenas[index].memory
      if reference.rawValue &- memory.firstReference.rawValue < UInt32(memory.pageCount) { return index }
    }
    return try openArena(of: reference)
  }

  private func openArena(of reference: GrantReference) throws(GrantError) -> Int {
    guard failedLookups < Self.maximumFailedLookups else { throw .badReference(reference) }
    let arena: ForeignArena?
    do throws(PlatformError) {
      arena = try source.openArena(containing: reference, of: granter)
    } catch {
      failedLookups += 1
      throw .platform(error)
    }
    guard let arena, reference.rawValue &- arena.memory.firstReference.rawValue < UInt32(arena.memory.pageCount) else {
      failedLookups += 1
      throw .badReference(reference)
    }
    arenas.append(arena)
    return arenas.count - 1
  }
}
