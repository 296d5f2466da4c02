public import XenInterface

/// All grant arenas of all domains: what the broker and the simulated platform have in common. Pure state.
public struct ArenaTable: Sendable {
  public struct Arena: Sendable {
    public var granter: DomainID
    public var holder: HolderID
    /// The only domain that may open it.
    public var peer: DomainID
    public var access: GrantAccess
    public var pageCount: Int
    /// Reference of page 0: a multiple of 256, never used before by this granter.
    public var firstReference: GrantReference
    /// What the mapper is given; nil when the peer domain was destroyed.
    public var files: ArenaFiles?

    public init(
      granter: DomainID, holder: HolderID, peer: DomainID, access: GrantAccess, pageCount: Int, firstReference: GrantReference,
      files: ArenaFiles?
    ) {
      self.granter = granter
      self.holder = holder
      self.peer = peer
      self.access = access
      self.pageCount = pageCount
      self.firstReference = firstReference
      self.files = files
    }

    func contains(_ reference: GrantReference) -> Bool {
      reference >= firstReference && reference.rawValue - firstReference.rawValue < UInt32(pageCount)
    }
  }

  private struct Granter {
    var arenas: [Arena] = []
    var pages = 0
    /// The first 256 references stay unused: Xen reserves 0 to 7 (`GNTTAB_NR_RESERVED_ENTRIES`).
    var nextReference = GrantEntryLayout.entriesPerPage
  }
  private var granters: [DomainID: Granter] = [:]

  public init() {}

  public func arenas(of granter: DomainID) -> [Arena] { granters[granter]?.arenas ?? [] }
  public func count(of granter: DomainID) -> Int { granters[granter]?.arenas.count ?? 0 }
  public func pageCount(of granter: DomainID) -> Int { granters[granter]?.pages ?? 0 }

  /// Throws when one more arena of `pageCount` pages would exceed a quota of `granter`.
  public func checkQuota(of granter: DomainID, pageCount: Int, limits: DomainLimits) throws(PlatformError) {
    guard count(of: granter) < limits.arenas else { throw .quotaExceeded(quota: "arenas", domain: granter, limit: limits.arenas) }
    guard pageCount <= limits.arenaPages, self.pageCount(of: granter) <= limits.arenaPages - pageCount else {
      throw .quotaExceeded(quota: "arena-pages", domain: granter, limit: limits.arenaPages)
    }
  }

  /// Adds an arena and gives it references. `files` are the ones for the mapper, already checked.
  public mutating func register(
    granter: DomainID, holder: HolderID, peer: DomainID, access: GrantAccess, pageCount: Int, files: ArenaFiles, limits: DomainLimits
  ) throws(PlatformError) -> GrantReference {
    precondition(pageCount > 0)
    try checkQuota(of: granter, pageCount: pageCount, limits: limits)
    var table = granters[granter] ?? Granter()
    let perPage = GrantEntryLayout.entriesPerPage
    let span = (pageCount + perPage - 1) / perPage * perPage
    guard table.nextReference + span <= Int(UInt32.max) else {
      throw .quotaExceeded(quota: "grant-references", domain: granter, limit: Int(UInt32.max))
    }
    let first = GrantReference(rawValue: UInt32(table.nextReference))
    table.nextReference += span
    table.pages += pageCount
    table.arenas.append(
      Arena(
        granter: granter, holder: holder, peer: peer, access: access, pageCount: pageCount, firstReference: first, files: files))
    granters[granter] = table
    return first
  }

  /// The arena of `granter` that holds `reference`, if `domain` is the one that it was made for.
  public func arena(containing reference: GrantReference, of granter: DomainID, for domain: DomainID) -> Arena? {
    granters[granter]?.arenas.first { $0.contains(reference) && $0.peer == domain && $0.files != nil }
  }

  /// Takes an arena back: nobody can open it any more. False when `holder` has no such arena.
  public mutating func release(_ firstReference: GrantReference, of granter: DomainID, heldBy holder: HolderID) -> Bool {
    removeArenas(of: granter) { $0.firstReference == firstReference && $0.holder == holder } > 0
  }

  /// Takes back every arena of `holder`, as when a process dies.
  public mutating func releaseAll(of granter: DomainID, heldBy holder: HolderID) {
    _ = removeArenas(of: granter) { $0.holder == holder }
  }

  /// Forgets a domain: arenas that were made for it cannot be opened any more, not even by a later domain with its number.
  public mutating func remove(domain: DomainID) {
    precondition(count(of: domain) == 0, "domain \(domain) still has arenas")
    for granter in granters.keys {
      for index in granters[granter]!.arenas.indices where granters[granter]!.arenas[index].peer == domain {
        granters[granter]!.arenas[index].files = nil
      }
    }
  }

  // MARK: Handing over

  /// Every domain that ever had an arena, with its next reference, in order.
  public var nextReferences: [(domain: DomainID, reference: UInt32)] {
    granters.map { ($0.key, UInt32($0.value.nextReference)) }.sorted { $0.0 < $1.0 }
  }

  /// Makes the next reference of a domain what it was in the table that this one continues.
  public mutating func restore(nextReference: UInt32, of granter: DomainID) {
    granters[granter, default: Granter()].nextReference = Int(nextReference)
  }

  /// Puts an arena of the table that this one continues behind the others.
  public mutating func restore(_ arena: Arena) {
    granters[arena.granter, default: Granter()].arenas.append(arena)
    granters[arena.granter]!.pages += arena.pageCount
  }

  private mutating func removeArenas(of granter: DomainID, where matches: (Arena) -> Bool) -> Int {
    guard var table = granters[granter] else { return 0 }
    let removed = table.arenas.filter(matches)
    table.arenas.removeAll(where: matches)
    table.pages -= removed.reduce(0) { $0 + $1.pageCount }
    granters[granter] = table
    return removed.count
  }
}
