public import SharedMemory
public import SystemPackage
public import XenInterface

/// Memory that can be granted to one peer domain with one access, and the grant entries for it: the granter's side.
///
/// Page `n` is granted as reference `firstReference + n`; a page is granted at most once at a time. Free pages are handed
/// out last in, first out, because the page used last is the one still in the cache.
/// Confined to one thread at a time: the owner of a queue owns its arena.
public final class GrantArena {
  /// The domain that can map these pages.
  public let peer: DomainID
  public let access: GrantAccess
  public let pageCount: Int
  /// The pages' bytes: page `n` starts at `n * 4096`.
  public let bytes: SharedBytes
  /// Pages that the peer still had mapped when they were revoked: never used again while this arena lives.
  public private(set) var quarantinedPageCount = 0

  /// Entries that this process writes itself; nil: every page is granted for good, as one of ``lastingReferences``.
  private let memory: ArenaMemory?
  private let lastingReferences: [GrantReference]
  private let release: @Sendable () -> Void
  /// How the platform tells the peer of our end; nil: it reports closed peers itself.
  private let giveNotice: ((UnmapNotice) throws(Errno) -> Void)?
  private var freePages: [Int32]

  /// For platforms. `release` runs when the arena goes away: the broker then withdraws it from the peer.
  public init(peer: DomainID, access: GrantAccess, memory: ArenaMemory, release: @escaping @Sendable () -> Void) {
    self.peer = peer
    self.access = access
    self.pageCount = memory.pageCount
    self.bytes = memory.data
    self.memory = memory
    self.lastingReferences = []
    self.release = release
    self.giveNotice = nil
    self.freePages = (0..<Int32(memory.pageCount)).reversed()
  }

  /// For platforms whose pages are granted from the start until the arena goes away (``PlatformCapabilities/withdrawsGrants`` is false):
  /// page `n` of `bytes` is granted as `references[n]`.
  public init(
    peer: DomainID, access: GrantAccess, bytes: SharedBytes, references: [GrantReference],
    giveNotice: @escaping (UnmapNotice) throws(Errno) -> Void, release: @escaping @Sendable () -> Void
  ) {
    precondition(bytes.byteCount == references.count * pageByteCount)
    self.peer = peer
    self.access = access
    self.pageCount = references.count
    self.bytes = bytes
    self.memory = nil
    self.lastingReferences = references
    self.release = release
    self.giveNotice = giveNotice
    self.freePages = (0..<Int32(references.count)).reversed()
  }

  deinit { release() }

  /// Has the peer told when this memory goes away, also by the death of this process. Nothing to do where the platform reports closed
  /// peers (``PlatformCapabilities/reportsClosedPeers``). Throws what the system said.
  public func tellOfEnd(_ notice: UnmapNotice) throws(Errno) { try giveNotice?(notice) }

  public var freePageCount: Int { freePages.count }

  /// Takes a free page, or nil when there is none.
  public func allocatePage() -> Int? { freePages.popLast().map(Int.init) }

  /// Takes `count` pages that lie side by side, or nil when no such run is free. Control path: it searches.
  public func allocatePages(contiguous count: Int) -> Int? {
    let sorted = freePages.sorted()
    var start = 0
    for index in sorted.indices {
      if index > start, sorted[index] != sorted[index - 1] + 1 { start = index }
      if index - start + 1 == count {
        let run = sorted[start]..<(sorted[start] + Int32(count))
        freePages.removeAll { run.contains($0) }
        return Int(run.lowerBound)
      }
    }
    return nil
  }

  /// Gives a page back that is not granted, or that stays granted for its next use (persistent grants). Not one that is quarantined.
  public func free(page: Int) {
    precondition(page >= 0 && page < pageCount, "page \(page) outside the arena")
    freePages.append(Int32(page))
  }

  /// The reference that page `page` is granted as.
  public func reference(ofPage page: Int) -> GrantReference {
    guard let memory else { return lastingReferences[page] }
    return GrantReference(rawValue: memory.firstReference.rawValue + UInt32(page))
  }

  /// Lets the peer map page `page`, for as long as ``endAccess(page:)`` has not been called.
  @discardableResult
  public func grant(page: Int, readOnly: Bool = false) -> GrantReference {
    precondition(page >= 0 && page < pageCount, "page \(page) outside the arena")
    guard let memory else { return lastingReferences[page] }
    let entry = page * GrantEntryLayout.entryByteCount
    memory.entries.store16(peer.rawValue, at: entry + GrantEntryLayout.domainOffset)
    memory.entries.store64(UInt64(page), at: entry + GrantEntryLayout.frameOffset)
    let flags = GrantEntryLayout.permitAccess | (readOnly || access == .readOnly ? GrantEntryLayout.readOnly : 0)
    // Pairs with the mapper's acquire of the flags: domain and frame are visible once the type is.
    memory.entries.storeRelease16(flags, at: entry + GrantEntryLayout.flagsOffset)
    return reference(ofPage: page)
  }

  /// Takes the grant of page `page` back. False when the peer has it mapped: then the page is quarantined, because the
  /// peer can go on reading and writing it.
  public func endAccess(page: Int) -> Bool {
    precondition(page >= 0 && page < pageCount, "page \(page) outside the arena")
    guard let memory else {
      quarantinedPageCount += 1
      return false
    }
    memory.entries.storeRelease16(0, at: page * GrantEntryLayout.entryByteCount + GrantEntryLayout.flagsOffset)
    // Pairs with the mapper's compare-and-swap of the status word before it re-reads the flags: either we see its bit or
    // it sees our zero.
    sharedMemoryFence()
    let status = memory.status.loadAcquire16(at: page * GrantEntryLayout.statusByteCount)
    if status & (GrantEntryLayout.reading | GrantEntryLayout.writing) == 0 { return true }
    quarantinedPageCount += 1
    return false
  }
}
