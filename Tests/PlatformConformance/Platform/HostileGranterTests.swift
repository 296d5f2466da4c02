import LinuxSystem
import SharedMemory
import Synchronization
import Testing
import XenInterface
import XenPlatform

/// The mapping algorithm against a granter that writes whatever it likes into its entries. Platforms share the algorithm.
@Suite struct HostileGranterTests {
  @Test(arguments: [4, 5, 255, 1 << 20, 1 << 52, UInt64.max, UInt64.max >> 12] as [UInt64])
  func aFrameOutsideTheArenaIsRefused(frame: UInt64) throws {
    let granter = try HostileGranter(pageCount: 4)
    granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: frame, at: 1)
    let grants = granter.grants()
    #expect(throws: GrantError.badPage(granter.reference(1), frame: frame)) { try grants.map(granter.reference(1), writable: true) }
    #expect(grants.mappedPageCount == 0 && granter.status(at: 1) == 0)
  }

  @Test(arguments: [0, 2, 3] as [UInt16])
  func anEntryOfAnotherTypeIsRefused(type: UInt16) throws {
    let granter = try HostileGranter(pageCount: 4)
    granter.write(flags: type, domain: 0, frame: 0, at: 0)
    let grants = granter.grants()
    #expect(throws: GrantError.badReference(granter.reference(0))) { try grants.map(granter.reference(0), writable: false) }
  }

  @Test func anEntryForAnotherDomainIsRefused() throws {
    let granter = try HostileGranter(pageCount: 4)
    granter.write(flags: GrantEntryLayout.permitAccess, domain: 9, frame: 0, at: 0)
    let grants = granter.grants()
    #expect(throws: GrantError.badReference(granter.reference(0))) { try grants.map(granter.reference(0), writable: false) }
  }

  @Test(arguments: [
    (0, 0, 0), (2, 0, 0), (3, 0, 0), (1, 9, 0), (1, 0, 4), (1, 0, UInt64.max >> 12), (1, 0, .max),
  ] as [(UInt16, UInt16, UInt64)])
  func nothingIsCopiedByAnEntryThatCannotBeMapped(flags: UInt16, domain: UInt16, frame: UInt64) throws {
    let granter = try HostileGranter(pageCount: 4)
    for byte in 0..<4 * pageByteCount { granter.mappings.data.store8(1, at: byte) }
    granter.write(flags: flags, domain: domain, frame: frame, at: 1)
    let grants = granter.grants()
    let destination = try SharedRegion(anonymousByteCount: pageByteCount).bytes
    for (reference, offset) in [(1, 0), (77, 0), (0, -1), (0, pageByteCount), (0, .max), (0, .min)] as [(Int, Int)] {
      grants.prefetch(granter.reference(reference), at: offset)
    }
    #expect(grants.mappedPageCount == 0, "what is only to be fetched may name anything")
    #expect(throws: GrantError.self) { try grants.copyOut(of: granter.reference(1), at: 0, byteCount: 64, to: destination, at: 0) }
    #expect(destination.copyOut(at: 0, byteCount: pageByteCount).allSatisfy { $0 == 0 })
    #expect(throws: GrantError.self) { try grants.copyOut(of: granter.reference(77), at: 0, byteCount: 64, to: destination, at: 0) }
  }

  @Test(arguments: [(0, 4096, 0), (4095, 1, 7), (64, 256, 3840), (1, 0, 4096)])
  func aCopyIsOfThatStretchOfThePageAndMapsNothing(offset: Int, byteCount: Int, place: Int) throws {
    let granter = try HostileGranter(pageCount: 4)
    for byte in 0..<pageByteCount { granter.mappings.data.store8(UInt8(truncatingIfNeeded: byte &* 7 | 1), at: 2 * pageByteCount + byte) }
    granter.write(flags: GrantEntryLayout.permitAccess | GrantEntryLayout.readOnly, domain: 0, frame: 2, at: 1)
    let grants = granter.grants(maximumMappedPages: 0)
    let destination = try SharedRegion(anonymousByteCount: pageByteCount).bytes
    try grants.copyOut(of: granter.reference(1), at: offset, byteCount: byteCount, to: destination, at: place)
    let expected = (0..<pageByteCount).map { byte in
      (place..<place + byteCount).contains(byte) ? UInt8(truncatingIfNeeded: (byte - place + offset) &* 7 | 1) : 0
    }
    #expect(destination.copyOut(at: 0, byteCount: pageByteCount) == expected)
    #expect(grants.mappedPageCount == 0 && granter.status(at: 1) == 0)
  }

  @Test(arguments: [0, 3, 7])
  func stretchesAreCopiedTogetherOrNoneCounts(bad: Int) throws {
    let granter = try HostileGranter(pageCount: 8)
    for page in 0..<8 {
      for byte in 0..<pageByteCount { granter.mappings.data.store8(UInt8(truncatingIfNeeded: byte &* 7 &+ page), at: page * pageByteCount + byte) }
      granter.write(flags: GrantEntryLayout.permitAccess | GrantEntryLayout.readOnly, domain: 0, frame: UInt64(7 - page), at: page)
    }
    let grants = granter.grants(maximumMappedPages: 0)
    let destination = try SharedRegion(anonymousByteCount: pageByteCount).bytes
    let stretches = FixedTable(count: 8) {
      GrantStretch(grantReference: granter.reference($0), offset: UInt16($0 * 500), byteCount: UInt16($0 * 30), place: UInt32($0 * 256))
    }
    grants.prefetch(stretches, 0..<8)
    try grants.copyOut(stretches, count: 8, to: destination)
    for number in 0..<8 {
      let expected = (0..<number * 30).map { UInt8(truncatingIfNeeded: (number * 500 + $0) &* 7 &+ 7 - number) }
      #expect(destination.copyOut(at: number * 256, byteCount: number * 30) == expected)
    }
    #expect(grants.mappedPageCount == 0 && (0..<8).allSatisfy { granter.status(at: $0) == 0 })
    granter.write(flags: 0, domain: 0, frame: 0, at: bad)
    #expect(throws: GrantError.badReference(granter.reference(bad))) { try grants.copyOut(stretches, count: 8, to: destination) }
    granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: 8, at: bad)
    #expect(throws: GrantError.self) { try grants.copyOut(stretches, count: 8, to: destination) }
    stretches[bad].grantReference = granter.reference(77)
    grants.prefetch(stretches, 0..<8)
    #expect(throws: GrantError.self) { try grants.copyOut(stretches, count: 8, to: destination) }
  }

  @Test func aStretchOutsideThePageTraps() async {
    await #expect(processExitsWith: .failure) {
      let granter = try HostileGranter(pageCount: 2)
      granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: 0, at: 0)
      let destination = try SharedRegion(anonymousByteCount: 2 * pageByteCount).bytes
      try granter.grants().copyOut(of: granter.reference(0), at: 4090, byteCount: 7, to: destination, at: 0)
    }
  }

  @Test func anEntryThatNamesAnotherPageOfTheArenaGivesThatPage() throws {
    let granter = try HostileGranter(pageCount: 4)
    granter.mappings.data.store8(33, at: 3 * pageByteCount)
    granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: 3, at: 0)
    let grants = granter.grants()
    let page = try grants.map(granter.reference(0), writable: false)
    #expect(grants.bytes(of: page).load8(at: 0) == 33)
    // The entry changes while it is mapped: what is given back is what was mapped.
    granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: 1, at: 0)
    grants.unmap(page)
    #expect(grants.mappedPageCount == 0 && granter.status(at: 0) == 0)
  }

  @Test func theStatusWordSaysHowAPageIsMapped() throws {
    let granter = try HostileGranter(pageCount: 4)
    granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: 2, at: 2)
    let grants = granter.grants()
    let reader = try grants.map(granter.reference(2), writable: false)
    #expect(granter.status(at: 2) == GrantEntryLayout.reading)
    let writer = try grants.map(granter.reference(2), writable: true)
    #expect(granter.status(at: 2) == GrantEntryLayout.reading | GrantEntryLayout.writing)
    grants.unmap(writer)
    #expect(granter.status(at: 2) == GrantEntryLayout.reading)
    grants.unmap(reader)
    #expect(granter.status(at: 2) == 0)
  }

  @Test(arguments: [(2, 0, 2), (1, 9, 2), (1, 0, 4), (1 | 4, 0, 2)] as [(UInt16, UInt16, UInt64)])
  func oneBadEntryOfABatchLeavesTheOthersAsTheyWere(flags: UInt16, domain: UInt16, frame: UInt64) throws {
    let granter = try HostileGranter(pageCount: 4)
    for slot in 0..<4 { granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: UInt64(slot), at: slot) }
    let grants = granter.grants()
    let earlier = try grants.map(granter.reference(1), writable: false)
    granter.write(flags: flags, domain: domain, frame: frame, at: 2)
    // One of them twice.
    let references = FixedTable(count: 5) { granter.reference([0, 1, 1, 2, 3][$0]) }
    let pages = FixedTable(repeating: earlier, count: 5)
    #expect(throws: GrantError.self) { try grants.map(references, count: 5, writable: true, to: pages, from: 0) }
    #expect(grants.mappedPageCount == 1)
    #expect((0..<4).map { granter.status(at: $0) } == [0, GrantEntryLayout.reading, 0, 0])
    granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: 2, at: 2)
    try grants.map(references, count: 5, writable: true, to: pages, from: 0)
    #expect(grants.mappedPageCount == 6)
    let base = grants.accessibleRanges[0].address
    #expect((0..<5).map { pages[$0].address - base } == [0, 1, 1, 2, 3].map { UInt($0 * pageByteCount) })
    #expect((0..<4).map { granter.status(at: $0) } == [UInt16](repeating: GrantEntryLayout.reading | GrantEntryLayout.writing, count: 4))
    grants.unmap(pages, count: 5, from: 0)
    #expect((0..<4).map { granter.status(at: $0) } == [0, GrantEntryLayout.reading, 0, 0])
    grants.unmap(earlier)
    #expect(grants.mappedPageCount == 0 && granter.status(at: 1) == 0)
  }

  @Test(arguments: [1, 3])
  func mappingEndsWhileTheGranterFlipsItsEntriesAllTheTime(count: Int) throws {
    let granter = try HostileGranter(pageCount: 4)
    let stop = Atomic<Bool>(false)
    let flips = Counter()
    try SystemThread.start(name: "granter") {
      var round: UInt64 = 0
      while !stop.load(ordering: .relaxed) {
        round &+= 1
        granter.write(flags: UInt16(truncatingIfNeeded: round % 8), domain: UInt16(round % 3 / 2), frame: round % 5, at: Int(round % 4))
        if round % 1024 == 0 { flips.add() }
      }
      flips.add(1 << 40)
    }
    let grants = granter.grants()
    var mapped = 0
    var refused = 0
    while mapped < 2000 || refused < 2000 {
      let reference = granter.reference((mapped + refused) % 4)
      do throws(GrantError) {
        let references = FixedTable(repeating: reference, count: count)
        let pages = FixedTable(repeating: MappedPage(address: 0, arena: -1, page: 0, isWritable: false), count: count)
        if count == 1 {
          pages[0] = try grants.map(reference, writable: mapped % 2 == 0)
        } else {
          try grants.map(references, count: count, writable: mapped % 2 == 0, to: pages, from: 0)
        }
        for index in 0..<count {
          #expect(pages[index].address >= grants.accessibleRanges[0].address)
          #expect(pages[index].address - grants.accessibleRanges[0].address <= UInt(3 * pageByteCount))
        }
        mapped += 1
        grants.unmap(pages, count: count, from: 0)
      } catch {
        refused += 1
        if case .platform = error { Issue.record("\(error)") }
      }
    }
    stop.store(true, ordering: .relaxed)
    #expect(eventually { flips.value >= 1 << 40 })
    #expect(grants.mappedPageCount == 0)
    for slot in 0..<4 { #expect(granter.status(at: slot) == 0) }
  }

  @Test func aMapperHasALimit() throws {
    let granter = try HostileGranter(pageCount: 4)
    for slot in 0..<4 { granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: UInt64(slot), at: slot) }
    let grants = granter.grants(maximumMappedPages: 2)
    let pages = [try grants.map(granter.reference(0), writable: true), try grants.map(granter.reference(1), writable: true)]
    #expect(throws: GrantError.tooManyMapped(limit: 2)) { try grants.map(granter.reference(2), writable: true) }
    #expect(granter.status(at: 2) == 0)
    pages.forEach(grants.unmap)
    grants.unmap(try grants.map(granter.reference(2), writable: true))
  }

  @Test func onePageCannotBeMappedMoreOftenThanCanBeCounted() throws {
    let granter = try HostileGranter(pageCount: 1)
    granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: 0, at: 0)
    let grants = granter.grants()
    var pages: [MappedPage] = []
    var failure: GrantError?
    while failure == nil, pages.count < 1 << 17 {
      do throws(GrantError) { pages.append(try grants.map(granter.reference(0), writable: true)) } catch { failure = error }
    }
    #expect(failure == .tooManyMapped(limit: pages.count))
    pages.forEach(grants.unmap)
    #expect(grants.mappedPageCount == 0 && granter.status(at: 0) == 0)
  }

  @Test func aMapperThatGivesAPageBackTwiceTraps() async {
    await #expect(processExitsWith: .failure) {
      let granter = try HostileGranter(pageCount: 1)
      granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: 0, at: 0)
      let grants = granter.grants()
      let page = try grants.map(granter.reference(0), writable: true)
      grants.unmap(page)
      grants.unmap(page)
    }
  }

  @Test func aSourceThatGivesTheWrongArenaIsNotBelieved() throws {
    let granter = try HostileGranter(pageCount: 4)
    granter.write(flags: GrantEntryLayout.permitAccess, domain: 0, frame: 0, at: 0)
    let grants = granter.grants()
    let reference = GrantReference(rawValue: granter.reference(0).rawValue + 4)
    #expect(throws: GrantError.badReference(reference)) { try grants.map(reference, writable: false) }
  }
}

/// A granter with its hands in the entries, and a source that gives its arena to anybody who asks.
private final class HostileGranter: ForeignArenaSource {
  let mappings: ArenaFiles.Mappings
  private let files: ArenaFiles
  private let pageCount: Int
  private let first = GrantReference(rawValue: 512)

  init(pageCount: Int) throws {
    self.pageCount = pageCount
    (files, mappings) = try ArenaFiles.make(access: .readWrite, pageCount: pageCount)
  }

  func grants(maximumMappedPages: Int = 1 << 20) -> SharedForeignGrants {
    SharedForeignGrants(granter: .front, mappedBy: .control, source: self, maximumMappedPages: maximumMappedPages)
  }

  func openArena(containing reference: GrantReference, of granter: DomainID) throws(PlatformError) -> ForeignArena? {
    try files.restrictedForMapper(access: .readWrite).openAsMapper(firstReference: first, access: .readWrite, pageCount: pageCount)
  }

  func reference(_ slot: Int) -> GrantReference { GrantReference(rawValue: first.rawValue + UInt32(slot)) }

  func write(flags: UInt16, domain: UInt16, frame: UInt64, at slot: Int) {
    let entry = slot * GrantEntryLayout.entryByteCount
    mappings.entries.store16(domain, at: entry + GrantEntryLayout.domainOffset)
    mappings.entries.store64(frame, at: entry + GrantEntryLayout.frameOffset)
    mappings.entries.storeRelease16(flags, at: entry + GrantEntryLayout.flagsOffset)
  }

  func status(at slot: Int) -> UInt16 { mappings.status.loadAcquire16(at: slot * GrantEntryLayout.statusByteCount) }
}
