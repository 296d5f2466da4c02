import LinuxSystem
public import SharedMemory
import SystemPackage
public import XenInterface

/// Mapping without a hypervisor: this process runs the hypervisor's algorithm itself. No system call but for the first
/// page of an arena.
///
/// What a lying granter can do: make us read other bytes of an arena that it shares with us anyway. See docs/threat-model.md.
public final class SharedForeignGrants: ForeignGrants {
  private let source: any ForeignArenaSource
  /// In a cell, so that an access is not checked for overlapping others: mapping is on every request's way.
  private let mappings: FixedCell<ForeignMappings>
  /// References that no arena had: a peer cannot make us ask the source without end.
  private var failedLookups = 0
  private static let maximumFailedLookups = 1024

  /// `domain` is who we are: entries meant for anybody else are refused.
  public init(granter: DomainID, mappedBy domain: DomainID, source: any ForeignArenaSource, maximumMappedPages: Int = 1 << 20) {
    self.source = source
    self.mappings = FixedCell(ForeignMappings(mappedBy: domain, limit: maximumMappedPages))
    super.init(granter: granter)
  }

  public override var mappedPageCount: Int { mappings.value.mappedCount }

  public override var accessibleRanges: [SharedVector] {
    mappings.value.arenas.map { $0.memory.data.vector(at: 0, byteCount: $0.memory.pageCount * pageByteCount) }
  }

  public override func map(_ reference: GrantReference, writable: Bool) throws(GrantError) -> MappedPage {
    if let page = try mappings.value.map(reference, writable: writable) { return page }
    try openArena(of: reference)
    return try map(reference, writable: writable)
  }

  public override func unmap(_ page: MappedPage) { mappings.value.unmap(page) }

  public override func map(
    _ references: borrowing FixedTable<GrantReference>, count: Int, writable: Bool, to pages: borrowing FixedTable<MappedPage>, from start: Int
  ) throws(GrantError) {
    if try mappings.value.map(references, count: count, writable: writable, to: pages, from: start) { return }
    // Page by page, which opens the arenas that are missing.
    try super.map(references, count: count, writable: writable, to: pages, from: start)
  }

  public override func unmap(_ pages: borrowing FixedTable<MappedPage>, count: Int, from start: Int) {
    mappings.value.unmap(pages, count: count, from: start)
  }

  public override func hold(_ page: MappedPage) -> Bool { mappings.value.hold(page) }

  public override func copyOut(
    of reference: GrantReference, at offset: Int, byteCount count: Int, to destination: SharedBytes, at place: Int
  ) throws(GrantError) {
    if try mappings.value.copyOut(of: reference, at: offset, byteCount: count, to: destination, at: place) { return }
    try openArena(of: reference)
    try copyOut(of: reference, at: offset, byteCount: count, to: destination, at: place)
  }

  public override func copyOut(_ stretches: borrowing FixedTable<GrantStretch>, count: Int, to destination: SharedBytes) throws(GrantError) {
    if try mappings.value.copyOut(stretches, count: count, to: destination) { return }
    // One after the other, which opens the arenas that are missing.
    try super.copyOut(stretches, count: count, to: destination)
  }

  public override func prefetch(_ stretches: borrowing FixedTable<GrantStretch>, _ range: Range<Int>) { mappings.value.prefetch(stretches, range) }

  public override func prefetch(_ reference: GrantReference, at offset: Int) { mappings.value.prefetch(reference, at: offset) }

  public override func bytes(of page: MappedPage) -> SharedBytes {
    let data = mappings.value.arenas[Int(page.arena)].memory.data
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
    let arena = mappings.value.arenas[Int(first.arena)]
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

  /// The slow path: asks the source for the arena that holds `reference`, which then is one of `mappings`.
  @inline(never) private func openArena(of reference: GrantReference) throws(GrantError) {
    guard failedLookups < Self.maximumFailedLookups else { throw .badReference(reference) }
    let arena: ForeignArena?
    do throws(PlatformError) {
      arena = try source.openArena(containing: reference, of: granter)
    } catch {
      failedLookups += 1
      throw .platform(error)
    }
    guard let arena, arena.slot(of: reference) != nil else {
      failedLookups += 1
      throw .badReference(reference)
    }
    mappings.value.add(arena)
  }
}
