@testable import BlockBack
import BlockEngine
import BlockInterface
import EventLoop
import LinuxSystem
import Logging
import SharedMemory
import SharedRing
import SimulatedPlatform
import Synchronization
import SystemPackage
import TestSupport
import Testing
import XenInterface
import XenPlatform

/// What a hostile front-end tries: each test ends with nothing mapped, nothing in flight, and the back-end still alive.
@Suite struct BackHostileTests {
  /// Shows that the back-end still serves.
  private func expectAlive(_ system: BackSystem, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let page = system.newPage()
    #expect(try system.perform(system.request(.read, [system.segment(page)])) == .okay, sourceLocation: sourceLocation)
  }

  @Test(arguments: [BlkifProtocol.x8664, .x8632])
  func refusesBadSegmentCounts(layout: BlkifProtocol) throws {
    let system = try BackSystem(layout: layout, maximumIndirectSegmentCount: 32)
    let page = system.newPage()
    for count in [0, 12, 13, 127, 128, 255] as [UInt8] {
      for operation in [BlkifOperation.read, .write] {
        var request = system.request(operation, [system.segment(page)])
        request.segmentCount = count
        #expect(try system.perform(request) == .error)
      }
    }
    for count in [0, 33, 4096, 4097, 65535] as [UInt16] {
      var request = system.indirect(.read, [system.segment(page)])
      request.segmentCount = count
      #expect(try system.perform(request) == .error)
    }
    for operation in [BlkifOperation.flush, .writeBarrier] {
      var request = system.request(operation, [])
      request.segmentCount = 12
      #expect(try system.perform(request) == .error)
    }
    #expect(system.plane?.queues[0].counters.rejections.segmentCount == 17, "two empty ones are refused by the engine")
    try expectAlive(system)
    system.finish()
  }

  @Test func refusesSegmentsOutsideTheirPage() throws {
    let system = try BackSystem()
    let pages = (0..<11).map { _ in system.newPage() }
    for (first, last) in [(1, 0), (7, 6), (0, 8), (8, 8), (0, 255), (255, 0), (255, 255)] as [(UInt8, UInt8)] {
      for position in 0..<11 {
        var segments = pages.map { system.segment($0) }
        segments[position].firstSector = first
        segments[position].lastSector = last
        #expect(try system.perform(system.request(.write, segments)) == .error)
        #expect(try system.perform(system.indirect(.write, segments)) == .error)
      }
    }
    #expect(system.plane?.queues[0].counters.rejections.segment == 7 * 11 * 2)
    #expect(system.engine.statistics.writes == 0)
    try expectAlive(system)
    system.finish()
  }

  @Test func refusesRangesBehindTheEndAndSumsThatOverflow() throws {
    let system = try BackSystem()
    let page = system.newPage()
    let sectors = system.engine.geometry.sectorCount
    for sector in [sectors - 7, sectors, sectors + 1, .max, .max - 3, .max - 7, 1 << 63, UInt64.max / 512] {
      #expect(try system.perform(system.request(.read, sector: sector, [system.segment(page)])) == .error)
      #expect(try system.perform(system.request(.write, sector: sector, [system.segment(page)])) == .error)
      #expect(try system.perform(system.request(.flush, sector: sector, [system.segment(page)])) == .error)
      #expect(try system.perform(system.indirect(.write, sector: sector, [system.segment(page)])) == .error)
      #expect(try system.perform(system.discard(sector: sector, sectorCount: 8)) == .error)
    }
    for count in [sectors + 1, .max, .max - 7, 1 << 63] as [UInt64] {
      #expect(try system.perform(system.discard(sector: 8, sectorCount: count)) == .error)
    }
    #expect(try system.perform(system.request(.read, sector: sectors - 8, [system.segment(page)])) == .okay)
    system.finish()
  }

  @Test func refusesWhatIsNoMultipleOfTheSectorSize() throws {
    let system = try BackSystem(BlockStoreSpec(.memory(byteCount: 1 << 20), sectorByteCount: 4096))
    let page = system.newPage()
    #expect(try system.perform(system.request(.read, sector: 1, [system.segment(page)])) == .error)
    #expect(try system.perform(system.request(.read, sector: 8, [system.segment(page, 0, 6)])) == .error)
    #expect(try system.perform(system.discard(sector: 4, sectorCount: 8)) == .error)
    #expect(try system.perform(system.request(.read, sector: 8, [system.segment(page, 0, 3), system.segment(page, 4, 7)])) == .okay)
    system.finish()
  }

  @Test func protectsAReadOnlyDisk() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let system = try BackSystem(BlockStoreSpec(.file(path: disk.path), isReadOnly: true))
    let page = system.newPage()
    system.fill(page, with: 0xFF)
    let segments = [system.segment(page)]
    for operation in [BlkifOperation.write, .writeBarrier, .flush] {
      #expect(try system.perform(system.request(operation, segments)) == .error)
    }
    #expect(try system.perform(system.indirect(.write, segments)) == .error)
    #expect(try system.perform(system.discard(sector: 0, sectorCount: 8)) != .okay)
    #expect(try system.perform(system.request(.flush)) == .okay)
    #expect(try disk.bytes(at: 0, byteCount: 4096) == [UInt8](repeating: 0, count: 4096))
    try expectAlive(system)
    system.finish()
  }

  @Test(arguments: [BlkifProtocol.x8664, .x8632])
  func answersUnknownOperations(layout: BlkifProtocol) throws {
    let system = try BackSystem(layout: layout)
    let page = system.newPage()
    for operation in [4, 7, 8, 127, 128, 255] as [UInt8] {
      var request = system.request(.read, [system.segment(page)])
      request.operation = operation
      #expect(try system.perform(request) == .notSupported)
    }
    for operation in [2, 3, 4, 5, 6, 7, 255] as [UInt8] {
      var request = system.indirect(.read, [system.segment(page)])
      request.indirectOperation = operation
      #expect(try system.perform(request) == .error)
    }
    #expect(try system.perform(system.discard(sector: 0, sectorCount: 8, secure: true)) == .notSupported)
    try expectAlive(system)
    system.finish()
  }

  // MARK: Grants

  /// References that cannot be mapped: never granted, revoked, of another arena, read-only for a read.
  private func badReferences(_ system: BackSystem) -> [GrantReference] {
    let revoked = system.newPage()
    system.arena.grant(page: revoked)
    #expect(system.arena.endAccess(page: revoked))
    let readOnly = system.newPage()
    return [
      system.arena.reference(ofPage: system.newPage()), system.arena.reference(ofPage: revoked), GrantReference(rawValue: 0),
      GrantReference(rawValue: .max), system.arena.grant(page: readOnly, readOnly: true),
    ]
  }

  @Test func oneBadReferenceFailsTheRequestWhereverItIs() throws {
    let system = try BackSystem()
    let pages = (0..<11).map { _ in system.newPage() }
    for bad in badReferences(system) {
      for position in 0..<11 {
        var segments = pages.map { system.segment($0) }
        segments[position].grantReference = bad
        #expect(try system.perform(system.request(.read, segments)) == .error)
        #expect(try system.perform(system.indirect(.read, segments)) == .error)
        for page in pages where page != pages[position] { #expect(system.arena.endAccess(page: page)) }
      }
    }
    try expectAlive(system)
    system.finish()
  }

  @Test func laterSuccessNeverHidesAnEarlierFailure() throws {
    let system = try BackSystem()
    let pages = (0..<6).map { _ in system.newPage() }
    let bad = system.arena.reference(ofPage: system.newPage())
    for pattern in 0..<64 {
      let segments = pages.enumerated().map { pattern >> $0 & 1 == 1 ? system.segment(bad) : system.segment($1) }
      let expected: BlkifStatus = pattern == 0 ? .okay : .error
      #expect(try system.perform(system.request(.write, segments)) == expected)
      #expect(try system.perform(system.indirect(.read, segments)) == expected)
    }
    system.finish()
  }

  @Test func badIndirectPagesFailTheRequest() throws {
    let system = try BackSystem(BlockStoreSpec(.memory(byteCount: 8 << 20)))
    let pages = (0..<1100).map { _ in system.newPage() }
    let segments = pages.map { system.segment($0) }
    for position in 0..<3 {
      for bad in badReferences(system).dropLast() {
        var request = system.indirect(.read, segments)
        request.setIndirectGrantReference(bad, at: position)
        #expect(try system.perform(request) == .error)
      }
    }
    #expect(try system.perform(system.indirect(.read, segments)) == .okay)
    system.finish()
  }

  @Test func badRequestsLeaveNoPersistentGrantBehind() throws {
    // XSA-371: the fix for a failed mapping leaked the grants that had been mapped before it.
    let system = try BackSystem(persistentGrantLimit: 32)
    let pages = (0..<10).map { _ in system.newPage() }
    let bad = system.arena.reference(ofPage: system.newPage())
    for round in 0..<200 {
      var segments = pages.map { system.segment($0) }
      segments.insert(system.segment(bad), at: round % 11)
      #expect(try system.perform(system.request(.read, segments)) == .error)
    }
    system.finish()
  }

  // MARK: Rings

  @Test(arguments: [0x8000_0000, 1000, 33, UInt32.max - 2] as [UInt32])
  func aBogusProducerStopsTheRingForGood(jump: UInt32) throws {
    let system = try BackSystem(queueCount: 2)
    let page = system.newPage()
    #expect(try system.perform(system.request(.read, [system.segment(page)])) == .okay)
    let producer = system.queues[0].memory.load32(at: 0)
    system.queues[0].memory.store32(producer &+ jump, at: 0)
    for _ in 0..<10 { system.loop.turn(maySleep: false) }
    #expect(system.faults.count == 1, "told once")
    #expect(system.faults.first?.offender == .front)
    // A good producer does not bring it back.
    system.queues[0].memory.store32(producer, at: 0)
    system.queues[0].put(system.request(.read, [system.segment(page)]))
    system.queues[0].publish()
    for _ in 0..<10 { system.loop.turn(maySleep: false) }
    #expect(try system.queues[0].take() == nil)
    #expect(try system.perform(system.request(.read, [system.segment(page)]), on: 1) == .okay, "the other ring goes on")
    system.finish()
  }

  @Test func theRestOfAResponseIsZero() throws {
    let system = try BackSystem()
    let page = system.newPage()
    let memory = system.queues[0].memory
    // Poison every entry; then every response's padding must be zero in the ring itself, not only in the copy.
    for entry in 0..<32 {
      memory.copyIn([UInt8](repeating: 0xA5, count: 112), at: 64 + entry * 112)
    }
    for _ in 0..<32 {
      let index = Int(memory.load32(at: 8) & 31)
      var request = system.request(.read, [system.segment(page)])
      request.handle = 0xFFFF
      #expect(try system.perform(request) == .okay)
      #expect(memory.copyOut(at: 64 + index * 112 + 9, byteCount: 1) == [0])
      #expect(memory.copyOut(at: 64 + index * 112 + 12, byteCount: 4) == [0, 0, 0, 0])
    }
    system.finish()
  }

  @Test func holdingEverySlotCostsNoMoreThanTheRing() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let system = try BackSystem(BlockStoreSpec(.file(path: disk.path)), queueCount: 2)
    let page = system.newPage()
    // Responses are never consumed: once the ring is full of them, the front has no entry to put anything into.
    let queue = system.queues[0]
    while queue.freeCount > 0 { queue.put(system.request(.read, [system.segment(page)])) }
    queue.publish()
    while system.plane?.queues[0].counters.responses != 32 { system.loop.turn(maySleep: false) }
    #expect(system.engine.requestsInFlight == 0)
    #expect(system.plane?.pages.grants.mappedPageCount == 2, "the two rings")
    #expect(try system.perform(system.request(.read, [system.segment(page)]), on: 1) == .okay)
    system.finish()
  }

  @Test func aFloodOfBadRequestsDoesNotFloodTheLog() throws {
    let lines = CountingLog()
    let system = try BackSystem(logger: Logger(label: "test") { _ in lines.handler })
    for _ in 0..<200 {
      for _ in 0..<32 {
        var request = system.request(.read)
        request.segmentCount = 200
        system.queues[0].put(request)
      }
      system.queues[0].publish()
      #expect(try system.responses(32).allSatisfy { $0.status == BlkifStatus.error.rawValue })
    }
    #expect(lines.count > 0)
    #expect(lines.count < 100)
    #expect(system.plane?.queues[0].counters.rejections.segmentCount == 6400)
    try expectAlive(system)
    system.finish()
  }

  // MARK: Double fetches

  @Test func aFrontThatRewritesItsRequestsGetsAnswersAndNothingElse() throws {
    // XSA-155: everything that is checked is a copy, so the values that are used are the values that were checked.
    let system = try BackSystem(BlockStoreSpec(.memory(byteCount: 1 << 20)), maximumIndirectSegmentCount: 64)
    let page = system.newPage()
    let queue = system.queues[0]
    let table = system.newPage()
    for index in 0..<64 { system.segment(page).store(to: system.arena.bytes, at: table * pageByteCount + index * 8) }
    let tableReference = system.arena.grant(page: table, readOnly: true)
    let flipper = BusyThread.flipping(ring: queue.memory, table: system.arena.bytes.slice(at: table * pageByteCount, byteCount: pageByteCount))
    var answered = 0
    for round in 0..<1500 {
      for entry in 0..<32 {
        if entry % 2 == 0 {
          queue.put(system.request(entry % 4 == 0 ? .read : .write, sector: 8, [system.segment(page), system.segment(page)]))
        } else {
          var request = BlkifRequestIndirect()
          request.operation = BlkifOperation.indirect.rawValue
          request.indirectOperation = UInt8(round & 1)
          request.segmentCount = 64
          request.setIndirectGrantReference(tableReference, at: 0)
          queue.put(request)
        }
      }
      queue.publish()
      answered += try system.responses(32).count
    }
    flipper.stop()
    #expect(answered == 1500 * 32)
    #expect(system.faults.isEmpty)
    let counters = try #require(system.plane?.queues[0].counters)
    #expect(counters.rejections.total > 0, "the flipper has hit something")
    #expect(counters.rejections.total < counters.requests, "and left something alone")
    system.finish()
  }

  // MARK: Coming and going

  @Test func survivesAStormOfConnectionsWithRequestsUnderWay() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let system = try BackSystem(BlockStoreSpec(.file(path: disk.path)), queueCount: 2)
    let pages = (0..<16).map { _ in system.newPage() }
    for page in pages { _ = system.arena.grant(page: page) }
    for round in 0..<150 {
      for (index, queue) in system.queues.enumerated() {
        let wanted = (round * 7 + index) % 20
        for number in 0..<wanted where queue.freeCount > 0 {
          let operation: BlkifOperation = number % 5 == 4 ? .writeBarrier : number % 2 == 0 ? .read : .write
          queue.put(system.request(operation, sector: UInt64(number * 8), [system.segment(system.arena.reference(ofPage: pages[number % 16]))]))
        }
        queue.publish()
      }
      for _ in 0..<round % 4 { system.loop.turn(maySleep: false) }
      system.disconnect()
      #expect(system.leakedPageCount == 0)
      // What was taken was answered; what was not taken is still there, and the next connection takes it up.
      for queue in system.queues { while try queue.take() != nil {} }
      try system.connect()
    }
    for (index, queue) in system.queues.enumerated() where queue.outstandingCount > 0 {
      #expect(try system.responses(queue.outstandingCount, of: index).allSatisfy { $0.status == 0 })
    }
    system.finish()
  }

  @Test func answersWithAnErrorWhenTheDiskFailsAndRemembersWhy() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let system = try BackSystem(BlockStoreSpec(.file(path: disk.path)))
    try disk.setByteCount(4096)
    let page = system.newPage()
    #expect(try system.perform(system.request(.read, sector: 512, [system.segment(page)])) == .error)
    #expect(system.engine.statistics.lastFailure?.byteOffset == 512 * 512)
    #expect(system.engine.statistics.lastFailure?.errno == .ioError)
    try expectAlive(system)
    system.finish()
  }

  @Test func refusesRingsThatCannotBeMapped() throws {
    let system = try BackSystem()
    system.disconnect()
    #expect(system.arena.endAccess(page: system.queues[0].ringPage))
    #expect(throws: BlkifConnectError.self) { try system.connect() }
    system.arena.grant(page: system.queues[0].ringPage)
    system.queues[0].memory.store32(system.queues[0].memory.load32(at: 0) &+ 500, at: 0)
    #expect(throws: BlkifConnectError.self) { try system.connect() }
    #expect(system.engine.client == nil)
    system.finish()
  }
}

extension BusyThread {
  /// Rewrites what the back-end reads: operations, counts, sectors and segments, never identifiers.
  fileprivate static func flipping(ring: SharedBytes, table: SharedBytes) -> BusyThread {
    BusyThread { random in
      let entry = 64 + Int.random(in: 0..<32, using: &random) * 112
      switch Int.random(in: 0..<5, using: &random) {
      case 0: ring.store8(UInt8.random(in: 0...7, using: &random), at: entry)
      case 1: ring.store8([0, 1, 2, 11, 12, 255].randomElement(using: &random) ?? 0, at: entry + 1)
      case 2: ring.store8(UInt8.random(in: 0...9, using: &random), at: entry + 29)
      case 3: ring.store64(random.next() >> UInt64.random(in: 0..<64, using: &random), at: entry + 16)
      default: table.store8(UInt8.random(in: 0...9, using: &random), at: Int.random(in: 0..<64, using: &random) * 8 + 5)
      }
    }
  }
}
