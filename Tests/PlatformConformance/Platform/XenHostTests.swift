import EventLoop
import LinuxSystem
import SharedMemory
import Testing
import XenHostPlatform
import XenInterface
import XenPlatform

/// The platform of a Xen host, where there is one: domain 0 grants to itself and binds to itself. Skipped everywhere else.
///
/// What the other platforms do and this one cannot is in its capabilities: nothing is withdrawn, and nobody is told of a closed port.
@Suite(.enabled(if: isXenHost, "this is no Xen host"), .serialized) struct XenHostTests {
  let platform: XenHostPlatform

  init() throws { platform = try XenHostPlatform() }

  // MARK: Grants

  private func arena(_ pageCount: Int, _ access: GrantAccess = .readWrite) throws -> GrantArena {
    try platform.makeGrantArena(for: .control, access: access, pageCount: pageCount)
  }

  @Test func aMappedPageIsTheGrantersPage() throws {
    let (arena, grants) = (try arena(4), try platform.foreignGrants(of: .control))
    let page = try #require(arena.allocatePage())
    #expect(arena.bytes.copyOut(at: 0, byteCount: 4 * pageByteCount).allSatisfy { $0 == 0 })
    arena.bytes.store32(0xC0FFEE, at: page * pageByteCount + 8)
    let mapped = try grants.map(arena.grant(page: page), writable: true)
    #expect(grants.bytes(of: mapped).load32(at: 8) == 0xC0FFEE)
    grants.bytes(of: mapped).store32(0xBEEF, at: 4092)
    #expect(arena.bytes.load32(at: page * pageByteCount + 4092) == 0xBEEF)
    #expect(grants.mappedPageCount == 1)
    grants.unmap(mapped)
    #expect(grants.mappedPageCount == 0)
  }

  @Test func aGrantIsNeverTakenBackBeforeItsArena() throws {
    let arena = try arena(2)
    #expect(!platform.capabilities.withdrawsGrants)
    #expect(!arena.endAccess(page: 0) && arena.quarantinedPageCount == 1)
  }

  @Test func pagesAreMappedSideBySideInTheOrderAskedFor() throws {
    let (arena, grants) = (try arena(16), try platform.foreignGrants(of: .control))
    for order in [[7, 2, 13, 0], [4, 5, 6, 7], [9]] {
      for (index, page) in order.enumerated() { arena.bytes.store32(UInt32(100 + index), at: page * pageByteCount) }
      do {
        let mapping = try grants.mapContiguously(order.map { arena.grant(page: $0) })
        for index in order.indices { #expect(mapping.bytes.load32(at: index * pageByteCount) == UInt32(100 + index)) }
        mapping.bytes.store32(7, at: mapping.bytes.byteCount - 4)
        #expect(grants.mappedPageCount == order.count)
      }
      #expect(arena.bytes.load32(at: order.last! * pageByteCount + 4092) == 7)
      #expect(grants.mappedPageCount == 0)
    }
  }

  @Test func whatIsNotGrantedCannotBeMappedAndLeavesNothingMapped() throws {
    let (arena, grants) = (try arena(2), try platform.foreignGrants(of: .control))
    for number in [0, 7, 60_000, .max] as [UInt32] {
      let reference = GrantReference(rawValue: number)
      #expect(throws: GrantError.self) { try grants.map(reference, writable: false) }
      #expect(throws: GrantError.self) { _ = try grants.mapContiguously([arena.grant(page: 0), reference]) }
    }
    #expect(throws: GrantError.self) { _ = try grants.mapContiguously([]) }
    #expect(throws: GrantError.self) { try platform.foreignGrants(of: DomainID(rawValue: 77)).map(arena.grant(page: 0), writable: false) }
    #expect(grants.mappedPageCount == 0)
    grants.unmap(try grants.map(arena.grant(page: 1), writable: true))
  }

  @Test func aReadOnlyArenaIsMappedReadOnlyAndStillShowsTheGrantersWrites() throws {
    let (arena, grants) = (try arena(1, .readOnly), try platform.foreignGrants(of: .control))
    let reference = arena.grant(page: 0)
    #expect(throws: GrantError.self) { try grants.map(reference, writable: true) }
    let page = try grants.map(reference, writable: false)
    #expect(!page.isWritable && !grants.bytes(of: page).isWritable)
    arena.bytes.store64(42, at: 16)
    #expect(grants.bytes(of: page).load64(at: 16) == 42)
    grants.unmap(page)
  }

  @Test func bytesAreCopiedOutWithoutMapping() throws {
    let (arena, grants) = (try arena(1), try platform.foreignGrants(of: .control))
    let destination = try SharedRegion(anonymousByteCount: 2 * pageByteCount).bytes
    arena.bytes.copyIn((0..<4096).map { UInt8(truncatingIfNeeded: $0 * 7) }, at: 0)
    // Unaligned, and across two pages of the destination.
    try grants.copyOut(of: arena.grant(page: 0), at: 13, byteCount: 4000, to: destination, at: 333)
    #expect(destination.copyOut(at: 333, byteCount: 4000) == (13..<4013).map { UInt8(truncatingIfNeeded: $0 * 7) })
    #expect(throws: GrantError.badReference(GrantReference(rawValue: 60_000))) {
      try grants.copyOut(of: GrantReference(rawValue: 60_000), at: 0, byteCount: 16, to: destination, at: 0)
    }
    #expect(grants.mappedPageCount == 0)
  }

  @Test func bytesAreCopiedInWithoutMapping() throws {
    let (arena, grants) = (try arena(2), try platform.foreignGrants(of: .control))
    let source = try SharedRegion(anonymousByteCount: 2 * pageByteCount).bytes
    source.copyIn((0..<4096).map { UInt8(truncatingIfNeeded: $0 * 5) }, at: 300)
    try grants.copyIn(to: arena.grant(page: 1), at: 96, byteCount: 4000, from: source, at: 313)
    #expect(arena.bytes.copyOut(at: pageByteCount + 96, byteCount: 4000) == (13..<4013).map { UInt8(truncatingIfNeeded: $0 * 5) })
    #expect(throws: GrantError.badReference(GrantReference(rawValue: 60_000))) {
      try grants.copyIn(to: GrantReference(rawValue: 60_000), at: 0, byteCount: 16, from: source, at: 0)
    }
    #expect(grants.mappedPageCount == 0)
  }

  @Test func aBatchIsMappedInOneAndGivenBackPageByPage() throws {
    let (arena, grants) = (try arena(256), try platform.foreignGrants(of: .control))
    let pages = FixedTable(repeating: MappedPage(address: 0, arena: -1, page: 0, isWritable: false), count: 300)
    for count in [1, 2, 32, 256] {
      let references = FixedTable(count: count) { arena.grant(page: count - 1 - $0) }
      try grants.map(references, count: count, writable: true, to: pages, from: 40)
      #expect(grants.mappedPageCount == count)
      for index in 0..<count { grants.bytes(of: pages[40 + index]).store32(UInt32(index), at: 4092) }
      for index in 0..<count { #expect(arena.bytes.load32(at: (count - 1 - index) * pageByteCount + 4092) == UInt32(index)) }
      // Together they go when the last one goes.
      for index in 0..<count { grants.unmap(pages[40 + (index * 7 + 3) % count]) }
      #expect(grants.mappedPageCount == 0)
    }
  }

  @Test func aBatchWithABadGrantLeavesNothingMapped() throws {
    let (arena, grants) = (try arena(4), try platform.foreignGrants(of: .control))
    let pages = FixedTable(repeating: MappedPage(address: 0, arena: -1, page: 0, isWritable: false), count: 4)
    let references = FixedTable(count: 4) { $0 == 2 ? GrantReference(rawValue: 60_000) : arena.grant(page: $0) }
    #expect(throws: GrantError.self) { try grants.map(references, count: 4, writable: true, to: pages, from: 0) }
    #expect(grants.mappedPageCount == 0)
  }

  @Test func whoSharesAPageIsToldWhenItGoes() throws {
    let front = try platform.allocateUnboundChannel(for: .control)
    let back = try platform.bindInterdomainChannel(remote: .control, port: front.port)
    #expect(takesEvent(back))
    let grants = try platform.foreignGrants(of: .control)
    let shared = try arena(1)
    shared.bytes.store8(1, at: 77)
    do {
      let mapping = try grants.mapContiguously([shared.grant(page: 0)], notice: UnmapNotice(clearing: 77, signalling: back))
      #expect(mapping.bytes.load8(at: 77) == 1 && !hasEvent(front))
    }
    #expect(takesEvent(front))
    #expect(shared.bytes.load8(at: 77) == 0)
  }

  @Test func whoMappedAPageIsToldWhenItsGranterGoes() throws {
    let front = try platform.allocateUnboundChannel(for: .control)
    let back = try platform.bindInterdomainChannel(remote: .control, port: front.port)
    #expect(takesEvent(back))
    let grants = try platform.foreignGrants(of: .control)
    var granted: GrantArena? = try arena(1)
    granted?.bytes.store8(1, at: 99)
    try granted?.tellOfEnd(UnmapNotice(clearing: 99, signalling: front))
    let page = try grants.map(#require(granted).grant(page: 0), writable: true)
    #expect(grants.bytes(of: page).load8(at: 99) == 1 && !hasEvent(back))
    granted = nil
    #expect(takesEvent(back))
    #expect(grants.bytes(of: page).load8(at: 99) == 0)
    grants.unmap(page)
  }

  @Test func manyPagesAreMappedAndGivenBack() throws {
    let (arena, grants) = (try arena(256), try platform.foreignGrants(of: .control))
    for _ in 0..<3 {
      let pages = try (0..<256).map { try grants.map(arena.grant(page: $0), writable: true) }
      for (index, page) in pages.enumerated() { grants.bytes(of: page).store32(UInt32(index), at: 0) }
      for index in 0..<256 { #expect(arena.bytes.load32(at: index * pageByteCount) == UInt32(index)) }
      for page in pages { grants.unmap(page) }
    }
    #expect(grants.mappedPageCount == 0)
  }

  // MARK: Event channels

  @Test func signalsArriveAndCoalesceAndTheBinderIsSignalledOnce() throws {
    let front = try platform.allocateUnboundChannel(for: .control)
    let back = try platform.bindInterdomainChannel(remote: .control, port: front.port)
    #expect(takesEvent(back) && !hasEvent(front))
    for _ in 0..<5 { front.signal() }
    #expect(takesEvent(back))
    // The first was delivered and masked the port; those after it are one more, delivered when it is unmasked.
    _ = takesEvent(back)
    #expect(!hasEvent(back) && !hasEvent(front))
    back.signal()
    #expect(takesEvent(front))
  }

  @Test func portsAndDomainsThatCannotBeBoundToAreNamed() throws {
    let front = try platform.allocateUnboundChannel(for: .control)
    let back = try platform.bindInterdomainChannel(remote: .control, port: front.port)
    #expect(throws: PlatformError.noSuchPort(front.port, of: .control)) { try platform.bindInterdomainChannel(remote: .control, port: front.port) }
    let nobody = DomainID(rawValue: 77)
    #expect(throws: PlatformError.noSuchDomain(nobody)) { try platform.bindInterdomainChannel(remote: nobody, port: front.port) }
    #expect(back.port != front.port)
  }

  @Test func aPortWhoseBinderHasGoneIsBoundByTheNext() throws {
    let front = try platform.allocateUnboundChannel(for: .control)
    for _ in 0..<3 {
      var back: EventChannel? = try platform.bindInterdomainChannel(remote: .control, port: front.port)
      #expect(back.map { takesEvent($0) } == true)
      front.signal()
      #expect(back.map { takesEvent($0) } == true)
      back = nil
      // To a port that nobody is bound to: no error, and nothing is kept for the next.
      front.signal()
    }
  }

  @Test func aLoopServesBothEndsOfAChannel() throws {
    let loop = try EventLoop(name: "xen")
    let front = try platform.allocateUnboundChannel(for: .control)
    let back = try platform.bindInterdomainChannel(remote: .control, port: front.port)
    var (rounds, closed) = (0, 0)
    var ends: [LoopEventChannel] = []
    ends.append(
      LoopEventChannel(front, loop: loop) {
        rounds += 1
        ends[0].rearm(spurious: false)
        ends[1].signal()
      })
    ends.append(
      LoopEventChannel(back, loop: loop) {
        ends[1].rearm(spurious: false)
        ends[0].signal()
      })
    // The binding's own event starts it: each end answers the other.
    ends[1].signal()
    for _ in 0..<100_000 where rounds < 200 { loop.turn(maySleep: false) }
    #expect(rounds >= 200)
    for end in ends { end.close { closed += 1 } }
    for _ in 0..<10_000 where closed < 2 { loop.turn(maySleep: false) }
    #expect(closed == 2)
  }
}

private let isXenHost = (try? XenHostPlatform()) != nil
