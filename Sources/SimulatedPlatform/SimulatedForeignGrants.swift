import SharedMemory
import Synchronization
import XenInterface
import XenPlatform

/// The mapper's side with its pages counted, and with faults: around the algorithm that all platforms share.
final class SimulatedForeignGrants: ForeignGrants {
  private let domain: DomainID
  private let holder: HolderID
  private let hypervisor: SimulatedHypervisor
  private let grants: SharedForeignGrants
  private let record: UInt64

  init(granter: DomainID, domain: DomainID, holder: HolderID, hypervisor: SimulatedHypervisor) {
    self.domain = domain
    self.holder = holder
    self.hypervisor = hypervisor
    let source = SimulatedArenaSource(domain: domain, holder: holder, hypervisor: hypervisor)
    let grants = SharedForeignGrants(granter: granter, mappedBy: domain, source: source)
    self.grants = grants
    let mapper = MapperRecord(domain: domain, grants: grants)
    record = hypervisor.state.withLock { state in
      state.lastMapper += 1
      state.mappers[state.lastMapper] = mapper
      return state.lastMapper
    }
    super.init(granter: granter)
  }

  deinit {
    // A record that stays behind keeps what is still mapped in the ledger.
    guard grants.mappedPageCount == 0 else { return }
    let record = record
    // Released outside the lock: with it may go the last reference to the hypervisor's own objects.
    _ = hypervisor.state.withLock { $0.mappers.removeValue(forKey: record) }
  }

  override func map(_ reference: GrantReference, writable: Bool) throws(GrantError) -> MappedPage {
    try checkFaults()
    return try grants.map(reference, writable: writable)
  }

  override func unmap(_ page: MappedPage) { grants.unmap(page) }

  override func map(
    _ references: borrowing FixedTable<GrantReference>, count: Int, writable: Bool, to pages: borrowing FixedTable<MappedPage>, from start: Int
  ) throws(GrantError) {
    for _ in 0..<count { try checkFaults() }
    try grants.map(references, count: count, writable: writable, to: pages, from: start)
  }

  override func unmap(_ pages: borrowing FixedTable<MappedPage>, count: Int, from start: Int) {
    grants.unmap(pages, count: count, from: start)
  }

  override func copyOut(
    of reference: GrantReference, at offset: Int, byteCount count: Int, to destination: SharedBytes, at place: Int
  ) throws(GrantError) {
    try checkFaults()
    try grants.copyOut(of: reference, at: offset, byteCount: count, to: destination, at: place)
  }

  override func copyOut(_ stretches: borrowing FixedTable<GrantStretch>, count: Int, to destination: SharedBytes) throws(GrantError) {
    for _ in 0..<count { try checkFaults() }
    try grants.copyOut(stretches, count: count, to: destination)
  }

  override func mapContiguously(_ references: [GrantReference]) throws(GrantError) -> GrantMapping {
    try checkFaults()
    return try grants.mapContiguously(references)
  }

  override func bytes(of page: MappedPage) -> SharedBytes { grants.bytes(of: page) }
  override var mappedPageCount: Int { grants.mappedPageCount }
  override var accessibleRanges: [SharedVector] { grants.accessibleRanges }

  private func checkFaults() throws(GrantError) {
    do throws(PlatformError) {
      try hypervisor.state.withLock { state throws(PlatformError) in try state.faults.check(.map) }
    } catch {
      throw .platform(error)
    }
  }
}

/// One mapper in the hypervisor's books.
struct MapperRecord: @unchecked Sendable {
  // SAFETY of @unchecked: the ledger only reads a count, when the test that asks for it has stopped its mappers.
  let domain: DomainID
  let grants: SharedForeignGrants
}

private final class SimulatedArenaSource: ForeignArenaSource {
  private let domain: DomainID
  private let holder: HolderID
  private let hypervisor: SimulatedHypervisor

  init(domain: DomainID, holder: HolderID, hypervisor: SimulatedHypervisor) {
    self.domain = domain
    self.holder = holder
    self.hypervisor = hypervisor
  }

  func openArena(containing reference: GrantReference, of granter: DomainID) throws(PlatformError) -> ForeignArena? {
    let arena = try hypervisor.state.withLock { state throws(PlatformError) in
      try state.enter(.openArena, holder)
      return state.arenas.arena(containing: reference, of: granter, for: domain)
    }
    guard let arena, let files = arena.files else { return nil }
    return try files.openAsMapper(firstReference: arena.firstReference, access: arena.access, pageCount: arena.pageCount)
  }
}
