import Glibc
import SharedMemory
import Testing
import XenInterface
import XenPlatform

@Suite struct GrantTests {
  @Test(arguments: PlatformKind.allCases)
  func aMappedPageIsTheGrantersPage(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 4)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      let page = try #require(arena.allocatePage())
      arena.bytes.store32(0xC0FFEE, at: page * pageByteCount + 8)
      let mapped = try grants.map(arena.grant(page: page), writable: true)
      #expect(grants.bytes(of: mapped).load32(at: 8) == 0xC0FFEE)
      grants.bytes(of: mapped).store32(0xBEEF, at: 4092)
      #expect(arena.bytes.load32(at: page * pageByteCount + 4092) == 0xBEEF)
      grants.unmap(mapped)
      #expect(grants.mappedPageCount == 0)
      #expect(arena.endAccess(page: page))
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aBatchIsMappedWholeOrNotAtAll(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 4)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      let references = FixedTable(count: 3) { arena.grant(page: 3 - $0) }
      let pages = FixedTable(repeating: MappedPage(address: 0, arena: -1, page: 0, isWritable: false), count: 5)
      try grants.map(references, count: 3, writable: true, to: pages, from: 2)
      for index in 0..<3 { grants.bytes(of: pages[2 + index]).store32(UInt32(index), at: 4092) }
      for index in 0..<3 { #expect(arena.bytes.load32(at: (3 - index) * pageByteCount + 4092) == UInt32(index)) }
      for index in 0..<3 { grants.unmap(pages[2 + index]) }
      #expect(arena.endAccess(page: 1))
      #expect(throws: GrantError.badReference(references[2])) { try grants.map(references, count: 3, writable: true, to: pages, from: 0) }
      #expect(grants.mappedPageCount == 0)
      for page in 2..<4 { #expect(arena.endAccess(page: page)) }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func bytesAreCopiedIntoAPage(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      let source = try SharedRegion(anonymousByteCount: pageByteCount).bytes
      source.copyIn([1, 2, 3, 4, 5], at: 100)
      try grants.copyIn(to: arena.grant(page: 0), at: 4092, byteCount: 4, from: source, at: 101)
      #expect(arena.bytes.copyOut(at: 4091, byteCount: 5) == [0, 2, 3, 4, 5])
      #expect(arena.endAccess(page: 0))
      #expect(throws: GrantError.badReference(arena.reference(ofPage: 0))) {
        try grants.copyIn(to: arena.reference(ofPage: 0), at: 0, byteCount: 1, from: source, at: 0)
      }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aNewArenaIsZeroed(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 3)
      #expect(arena.bytes.byteCount == 3 * pageByteCount)
      #expect(arena.bytes.copyOut(at: 0, byteCount: 3 * pageByteCount).allSatisfy { $0 == 0 })
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func referencesStartAboveTheReservedOnesAndAreNeverReused(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let platform = try hypervisor.platform(for: .front)
      var seen: Set<UInt32> = []
      for pageCount in [1, 256, 257, 1] {
        let arena = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: pageCount)
        let first = arena.reference(ofPage: 0).rawValue
        #expect(first >= 256 && first % 256 == 0)
        for page in 0..<pageCount { #expect(seen.insert(arena.reference(ofPage: page).rawValue).inserted) }
      }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aPageThatIsNotGrantedCannotBeMapped(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 2)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      let reference = arena.reference(ofPage: 0)
      #expect(throws: GrantError.badReference(reference)) { try grants.map(reference, writable: false) }
      _ = arena.grant(page: 0)
      let page = try grants.map(reference, writable: false)
      grants.unmap(page)
      #expect(arena.endAccess(page: 0))
      #expect(throws: GrantError.badReference(reference)) { try grants.map(reference, writable: false) }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func referencesOutsideEveryArenaAreRefused(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 5)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      for page in 0..<5 { arena.grant(page: page) }
      let first = arena.reference(ofPage: 0).rawValue
      for number in [0, 7, first - 1, first + 5, first + 255, .max] as [UInt32] {
        let reference = GrantReference(rawValue: number)
        #expect(throws: GrantError.badReference(reference)) { try grants.map(reference, writable: false) }
      }
      #expect(grants.mappedPageCount == 0)
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func lookingForMissingReferencesEnds(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let platform = try hypervisor.platform(for: .front)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      for number in 0..<2000 as Range<UInt32> {
        let reference = GrantReference(rawValue: number)
        #expect(throws: GrantError.badReference(reference)) { try grants.map(reference, writable: false) }
      }
      // Fresh lookups are the peer's own: it has used up its patience here, and only here.
      let arena = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      let fresh = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      fresh.unmap(try fresh.map(arena.grant(page: 0), writable: true))
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func onlyTheDomainAnArenaWasMadeForCanMapIt(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      let reference = arena.grant(page: 0)
      let stranger = try hypervisor.platform(for: .other).foreignGrants(of: .front)
      #expect(throws: GrantError.badReference(reference)) { try stranger.map(reference, writable: false) }
      // The same number in another granter's table is another page.
      let confused = try hypervisor.platform(for: .control).foreignGrants(of: .other)
      #expect(throws: GrantError.badReference(reference)) { try confused.map(reference, writable: false) }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func anArenaForNobodyIsRefused(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let platform = try hypervisor.platform(for: .front)
      let nobody = DomainID(rawValue: 77)
      #expect(throws: PlatformError.noSuchDomain(nobody)) { try platform.makeGrantArena(for: nobody, access: .readWrite, pageCount: 1) }
      for pageCount in [0, -1, Int(UInt32.max) + 1] {
        #expect(throws: PlatformError.self) { try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: pageCount) }
      }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aPageGrantedReadOnlyCannotBeMappedForWriting(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      let reference = arena.grant(page: 0, readOnly: true)
      #expect(throws: GrantError.readOnly(reference)) { try grants.map(reference, writable: true) }
      let page = try grants.map(reference, writable: false)
      #expect(!page.isWritable)
      grants.unmap(page)
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aReadOnlyArenaIsMappedReadOnlyAndStillShowsTheGrantersWrites(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readOnly, pageCount: 2)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      let reference = arena.grant(page: 1)
      #expect(throws: GrantError.readOnly(reference)) { try grants.map(reference, writable: true) }
      let page = try grants.map(reference, writable: false)
      #expect(!grants.bytes(of: page).isWritable)
      arena.bytes.store64(42, at: pageByteCount)
      #expect(grants.bytes(of: page).load64(at: 0) == 42)
      grants.unmap(page)
    }
  }

  @Test func theKernelKillsAMapperThatWritesToAReadOnlyArenaOfAProcess() async {
    await #expect(processExitsWith: .signal(SIGSEGV)) { try writeToAReadOnlyArena(kind: .process) }
  }

  @Test func theKernelKillsAMapperThatWritesToAReadOnlyArenaOfTheSimulation() async {
    await #expect(processExitsWith: .signal(SIGSEGV)) { try writeToAReadOnlyArena(kind: .simulated) }
  }

  @Test(arguments: PlatformKind.allCases)
  func aPageTakenBackWhileItIsMappedIsQuarantined(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 2)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      let page = try #require(arena.allocatePage())
      let mapped = try grants.map(arena.grant(page: page), writable: false)
      #expect(!arena.endAccess(page: page))
      #expect(arena.quarantinedPageCount == 1)
      #expect(arena.allocatePage() != page)
      #expect(arena.allocatePage() == nil)
      // No new mapping, but the old one stays valid until it is given back.
      #expect(throws: GrantError.badReference(arena.reference(ofPage: page))) { try grants.map(arena.reference(ofPage: page), writable: false) }
      #expect(grants.bytes(of: mapped).load8(at: 0) == 0)
      grants.unmap(mapped)
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aPageMappedTwiceIsInUseUntilItIsGivenBackTwice(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 3)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      for (page, writable) in [(0, [true, false]), (1, [false, true]), (2, [true, true])] {
        let reference = arena.grant(page: page)
        let first = try grants.map(reference, writable: writable[0])
        let second = try grants.map(reference, writable: writable[1])
        #expect(first.address == second.address)
        grants.unmap(first)
        #expect(grants.mappedPageCount == 1)
        #expect(!arena.endAccess(page: page))
        grants.unmap(second)
        _ = arena.grant(page: page)
        #expect(arena.endAccess(page: page))
      }
      #expect(arena.quarantinedPageCount == 3)
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func scatteredPagesAreMappedSideBySideInTheirOrder(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 16)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      for order in [[7, 2, 13, 0], [4, 5, 6, 7], [9]] {
        for (index, page) in order.enumerated() { arena.bytes.store32(UInt32(100 + index), at: page * pageByteCount) }
        do {
          let mapping = try grants.mapContiguously(order.map { arena.grant(page: $0) })
          #expect(mapping.bytes.byteCount == order.count * pageByteCount)
          for index in order.indices { #expect(mapping.bytes.load32(at: index * pageByteCount) == UInt32(100 + index)) }
          mapping.bytes.store32(7, at: mapping.bytes.byteCount - 4)
          #expect(grants.mappedPageCount == order.count)
        }
        #expect(arena.bytes.load32(at: order.last! * pageByteCount + 4092) == 7)
        #expect(grants.mappedPageCount == 0)
        #expect(order.allSatisfy { arena.endAccess(page: $0) })
      }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aFailedSideBySideMappingLeavesNothingMapped(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let platform = try hypervisor.platform(for: .front)
      let arena = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 4)
      let second = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 4)
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      let good = [arena.grant(page: 0), arena.grant(page: 1)]
      #expect(throws: GrantError.self) { _ = try grants.mapContiguously(good + [arena.reference(ofPage: 2)]) }
      #expect(throws: GrantError.self) { _ = try grants.mapContiguously(good + [second.grant(page: 0)]) }
      #expect(throws: GrantError.self) { _ = try grants.mapContiguously([]) }
      #expect(grants.mappedPageCount == 0)
      #expect(arena.endAccess(page: 0) && arena.endAccess(page: 1))
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func anArenaThatIsGoneCannotBeOpenedButStaysMappedWhereItWas(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let front = try hypervisor.platform(for: .front)
      let back = try hypervisor.platform(for: .control)
      let grants = try back.foreignGrants(of: .front)
      var arena: GrantArena? = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      let reference = try #require(arena?.grant(page: 0))
      let page = try grants.map(reference, writable: true)
      arena = nil
      #expect(
        try eventually {
          let late = try back.foreignGrants(of: .front)
          guard let page = try? late.map(reference, writable: false) else { return true }
          late.unmap(page)
          return false
        })
      grants.bytes(of: page).store8(1, at: 0)
      grants.unmap(page)
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func arenasOfADeadProcessAreWithdrawn(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let front = try hypervisor.platform(for: .front)
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 8)
      let reference = arena.grant(page: 0)
      hypervisor.kill(front)
      _ = eventually { hypervisor.leaks() == "" }
      let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
      #expect(throws: GrantError.badReference(reference)) { try grants.map(reference, writable: false) }
      #expect(throws: PlatformError.disconnected) { try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 1) }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aLaterDomainWithTheSameNumberDoesNotInheritGrants(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let back = try hypervisor.platform(for: .control)
      _ = try hypervisor.platform(for: .other)
      let arena = try back.makeGrantArena(for: .other, access: .readWrite, pageCount: 1)
      let reference = arena.grant(page: 0)
      try hypervisor.destroy(.other)
      let successor = try hypervisor.platform(for: .other).foreignGrants(of: .control)
      #expect(throws: GrantError.badReference(reference)) { try successor.map(reference, writable: false) }
    }
  }

  @Test func pagesAreHandedOutLastInFirstOutAndInRuns() throws {
    let arena = try SimulatedFixture(guestLimits: .guest).platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 8)
    #expect(arena.allocatePage() == 0 && arena.allocatePage() == 1 && arena.allocatePage() == 2)
    arena.free(page: 1)
    #expect(arena.allocatePages(contiguous: 6) == nil)
    #expect(arena.allocatePages(contiguous: 5) == 3)
    #expect(arena.freePageCount == 1 && arena.allocatePage() == 1 && arena.allocatePage() == nil)
  }

  @Test(arguments: PlatformKind.allCases)
  func quotasNameWhatWasExceeded(kind: PlatformKind) throws {
    try kind.run(guestLimits: DomainLimits(arenas: 2, arenaPages: 10, eventChannels: 4, connections: 4)) { hypervisor in
      let platform = try hypervisor.platform(for: .front)
      #expect(throws: PlatformError.quotaExceeded(quota: "arena-pages", domain: .front, limit: 10)) {
        try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 11)
      }
      let first = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 6)
      #expect(throws: PlatformError.quotaExceeded(quota: "arena-pages", domain: .front, limit: 10)) {
        try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 5)
      }
      let second = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 4)
      #expect(throws: PlatformError.quotaExceeded(quota: "arenas", domain: .front, limit: 2)) {
        try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      }
      #expect(first.pageCount + second.pageCount == 10)
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func manyThreadsCanUseOnePlatform(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let front = try hypervisor.platform(for: .front)
      let back = try hypervisor.platform(for: .control)
      try inParallel(4) { index in
        for round in 0..<20 {
          let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 2)
          let grants = try back.foreignGrants(of: .front)
          arena.bytes.store64(UInt64(index * 100 + round), at: pageByteCount)
          let page = try grants.map(arena.grant(page: 1), writable: true)
          #expect(grants.bytes(of: page).load64(at: 0) == UInt64(index * 100 + round))
          grants.unmap(page)
        }
      }
    }
  }
}

private func writeToAReadOnlyArena(kind: PlatformKind) throws {
  try kind.run { hypervisor in
    let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readOnly, pageCount: 1)
    let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
    let page = try grants.map(arena.grant(page: 0), writable: false)
    hypervisor.removeFiles()
    // No crash reports of a crash that is meant.
    signal(SIGSEGV, SIG_DFL)
    grants.bytes(of: page).store8(1, at: 0)
  }
}
