@testable import BlockBack
import BlockEngine
import BlockInterface
import EventLoop
import Glibc
import LinuxSystem
import SharedRing
import SimulatedPlatform
import Synchronization
import TestSupport
import Testing
import XenInterface
import XenPlatform

/// What an honest front-end asks for is done.
@Suite struct BackRequestTests {
  struct Shape: Sendable, CustomTestStringConvertible {
    var layout: BlkifProtocol
    var queueCount: Int
    var order: Int
    var persistentGrantLimit: Int?
    var testDescription: String { "\(layout.rawValue), \(queueCount) queues, order \(order)\(persistentGrantLimit == nil ? "" : ", persistent")" }
  }

  static let shapes = [
    Shape(layout: .x8664, queueCount: 1, order: 0), Shape(layout: .x8632, queueCount: 1, order: 0),
    Shape(layout: .x8664, queueCount: 4, order: 4), Shape(layout: .x8632, queueCount: 2, order: 4), Shape(layout: .arm, queueCount: 1, order: 1),
    Shape(layout: .x8664, queueCount: 2, order: 0, persistentGrantLimit: 64),
  ]

  @Test(arguments: shapes)
  func doesEveryOperationOnEveryQueue(_ shape: Shape) throws {
    let system = try BackSystem(
      queueCount: shape.queueCount, order: shape.order, layout: shape.layout, persistentGrantLimit: shape.persistentGrantLimit)
    for queue in 0..<shape.queueCount {
      let page = system.newPage()
      let other = system.newPage()
      let sector = UInt64(queue) * 64
      system.fill(page, with: UInt8(queue + 1))
      #expect(try system.perform(system.request(.write, sector: sector, [system.segment(page)]), on: queue) == .okay)
      #expect(try system.perform(system.request(.read, sector: sector, [system.segment(other)]), on: queue) == .okay)
      #expect(system.bytes(other) == [UInt8](repeating: UInt8(queue + 1), count: 4096))
      #expect(try system.perform(system.request(.flush), on: queue) == .okay)
      #expect(try system.perform(system.request(.writeBarrier), on: queue) == .okay)
      #expect(try system.perform(system.request(.writeBarrier, sector: sector + 8, [system.segment(page)]), on: queue) == .okay)
      #expect(try system.perform(system.request(.flush, sector: sector + 16, [system.segment(page, 2, 3)]), on: queue) == .okay)
      #expect(try system.perform(system.discard(sector: sector, sectorCount: 4), on: queue) == .okay)
      #expect(try system.perform(system.request(.read, sector: sector, [system.segment(other)]), on: queue) == .okay)
      #expect(Array(system.bytes(other).prefix(2048)) == [UInt8](repeating: 0, count: 2048))
      #expect(Array(system.bytes(other).suffix(2048)) == [UInt8](repeating: UInt8(queue + 1), count: 2048))
    }
    #expect(system.plane?.queues.allSatisfy { $0.counters.rejections.total == 0 } == true)
    system.finish()
  }

  @Test(arguments: shapes)
  func fillsWholeRingsWithoutLosingARequest(_ shape: Shape) throws {
    let disk = try TestDisk(byteCount: 4 << 20)
    let system = try BackSystem(
      BlockStoreSpec(.file(path: disk.path)), queueCount: shape.queueCount, order: shape.order, layout: shape.layout,
      persistentGrantLimit: shape.persistentGrantLimit)
    let page = system.newPage()
    for _ in 0..<3 {
      for queue in system.queues {
        while queue.freeCount > 0 { queue.put(system.request(.read, sector: UInt64(queue.freeCount * 8 % 4096), [system.segment(page)])) }
        queue.publish()
      }
      for (index, queue) in system.queues.enumerated() {
        #expect(try system.responses(queue.entryCount, of: index).allSatisfy { $0.status == BlkifStatus.okay.rawValue })
      }
    }
    system.finish()
  }

  @Test(arguments: [1, 2, 11, 12, 512, 513, 1025, 4096] as [Int], [BlkifProtocol.x8664, .x8632])
  func movesIndirectRequestsOfEverySize(segmentCount: Int, layout: BlkifProtocol) throws {
    let disk = try TestDisk(byteCount: 20 << 20)
    let system = try BackSystem(BlockStoreSpec(.file(path: disk.path), sectorByteCount: 512), layout: layout)
    // In the opposite order of the memory, so that nothing can be merged; the last segment is a part of its page.
    let pages = (0..<segmentCount).map { _ in system.newPage() }.sorted(by: >)
    for (index, page) in pages.enumerated() { system.fill(page, with: UInt8(index % 253 + 1)) }
    func segments(readOnly: Bool) -> [BlkifSegment] {
      pages.enumerated().map { system.segment($1, $0 == segmentCount - 1 ? 3 : 0, 7, readOnly: readOnly) }
    }
    #expect(try system.perform(system.indirect(.write, sector: 5, segments(readOnly: true))) == .okay)
    let expected = (0..<segmentCount).flatMap { index in
      [UInt8](repeating: UInt8(index % 253 + 1), count: index == segmentCount - 1 ? 2560 : 4096)
    }
    #expect(try disk.bytes(at: 5 * 512, byteCount: expected.count) == expected)
    for page in pages { system.fill(page, with: 0xEE) }
    #expect(try system.perform(system.indirect(.read, sector: 5, segments(readOnly: false))) == .okay)
    var found: [UInt8] = []
    for page in pages { found += system.bytes(page) }
    // The part of the last page that was not asked for is untouched.
    let untouched = found.count - 4096..<found.count - 2560
    #expect(Array(found[untouched]) == [UInt8](repeating: 0xEE, count: 1536))
    found.removeSubrange(untouched)
    #expect(found == expected)
    system.finish()
  }

  @Test func neverMergesPagesByTheirAddressAlone() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let system = try BackSystem(BlockStoreSpec(.file(path: disk.path)))
    // Neighbours in memory whose data goes to the disk in another order, with gaps between the parts (XSA-229).
    let first = try #require(system.arena.allocatePages(contiguous: 3))
    for index in 0..<3 { system.fill(first + index, with: UInt8(index + 1)) }
    let segments = [system.segment(first + 2, 0, 3), system.segment(first, 4, 7), system.segment(first + 1), system.segment(first + 2)]
    #expect(try system.perform(system.request(.write, sector: 0, segments)) == .okay)
    var expected: [UInt8] = []
    for (byte, count) in [(3, 2048), (1, 2048), (2, 4096), (3, 4096)] as [(UInt8, Int)] { expected += [UInt8](repeating: byte, count: count) }
    #expect(try disk.bytes(at: 0, byteCount: expected.count) == expected)
    system.finish()
  }

  @Test func aBarrierOrdersAllQueues() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let system = try BackSystem(BlockStoreSpec(.file(path: disk.path)), queueCount: 2)
    let pages = (0..<4).map { _ in system.newPage() }
    for round in 0..<20 {
      for (index, page) in pages.enumerated() { system.fill(page, with: UInt8(round * 4 + index)) }
      // The same sector from both queues: what the barrier writes must end up on top, and the read after it must see that.
      system.queues[0].put(system.request(.write, sector: 0, [system.segment(pages[0])]))
      system.queues[0].publish()
      system.loop.turn(maySleep: false)
      system.queues[1].put(system.request(.writeBarrier, sector: 0, [system.segment(pages[1])]))
      system.queues[1].publish()
      system.loop.turn(maySleep: false)
      system.queues[0].put(system.request(.read, sector: 0, [system.segment(pages[3])]))
      system.queues[0].publish()
      #expect(try system.responses(1, of: 1).allSatisfy { $0.status == 0 })
      #expect(try system.responses(2, of: 0).allSatisfy { $0.status == 0 })
      #expect(system.bytes(pages[3]) == [UInt8](repeating: UInt8(round * 4 + 1), count: 4096))
    }
    system.finish()
  }

  @Test func unmapsBeforeItAnswers() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let system = try BackSystem(BlockStoreSpec(.file(path: disk.path)))
    let pages = (0..<11).map { _ in system.newPage() }
    for _ in 0..<50 {
      #expect(try system.perform(system.request(.read, sector: 0, pages.map { system.segment($0) })) == .okay)
      for page in pages { #expect(system.arena.endAccess(page: page)) }
    }
    #expect(system.arena.quarantinedPageCount == 0)
    system.finish()
  }

  @Test func keepsPersistentGrantsWithinTheirLimit() throws {
    let system = try BackSystem(persistentGrantLimit: 16)
    let pages = (0..<40).map { _ in system.newPage() }
    for page in pages { _ = system.arena.grant(page: page) }
    var random = SeededGenerator(seed: 3)
    for round in 0..<300 {
      let page = pages[Int.random(in: 0..<40, using: &random)]
      system.fill(page, with: UInt8(round % 256))
      #expect(try system.perform(system.request(.write, sector: 8, [system.segment(system.arena.reference(ofPage: page))])) == .okay)
      let other = pages[Int.random(in: 0..<40, using: &random)]
      #expect(try system.perform(system.request(.read, sector: 8, [system.segment(system.arena.reference(ofPage: other))])) == .okay)
      #expect(system.bytes(other) == [UInt8](repeating: UInt8(round % 256), count: 4096))
      #expect(try #require(system.plane).pages.grants.mappedPageCount <= 17, "the ring's page and the limit")
    }
    let persistent = try #require(system.plane?.pages.persistent)
    #expect(persistent.count == 16)
    #expect(persistent.evictionCount > 0)
    system.finish()
  }

  @Test func publishesOnceATurnAndSignalsOnlyWhenAsked() throws {
    let system = try BackSystem(BlockStoreSpec(.null(byteCount: 1 << 20)))
    let page = system.newPage()
    let queue = system.queues[0]
    for _ in 0..<16 { queue.put(system.request(.read, sector: 0, [system.segment(page)])) }
    queue.publish()
    #expect(try system.responses(16).count == 16)
    #expect(system.plane?.queues[0].channel?.counters.signals == 1, "a new ring asks for an event at its first response")
    for _ in 0..<16 { queue.put(system.request(.read, sector: 0, [system.segment(page)])) }
    queue.publish()
    #expect(try system.responses(16).count == 16)
    #expect(system.plane?.queues[0].channel?.counters.signals == 1, "nobody asked since")
    system.finish()
  }

  @Test(.timeLimit(.minutes(5)))
  func sleepsUntilAnEventComesAndCountsTheEmptyOnes() throws {
    let system = try BackSystem(BlockStoreSpec(.null(byteCount: 1 << 20)))
    // Binding brings an event with nothing to do.
    while system.plane?.queues[0].channel?.counters.events == 0 { system.loop.turn(maySleep: false) }
    nonisolated(unsafe) let queue = system.queues[0]
    let request = system.request(.flush)
    let front = Front()
    try SystemThread.start(name: "front") {
      _ = usleep(20_000)
      unsafe queue.put(request)
      front.wasAsked.store(unsafe queue.publish(), ordering: .relaxed)
      // Before the signal: nothing else would wake a loop that had served the request by then.
      front.isDone.store(true, ordering: .releasing)
      unsafe EventDescriptor.signal(queue.channel.signalDescriptor)
    }
    while !front.isDone.load(ordering: .acquiring) { system.loop.turn() }
    let wasAsked = front.wasAsked.load(ordering: .relaxed)
    #expect(wasAsked, "the back armed before it slept")
    #expect(system.loop.sleepCount > 0)
    #expect(try system.responses(1).count == 1)
    while system.plane?.queues[0].channel?.counters.events == 1 { system.loop.turn(maySleep: false) }
    #expect(system.plane?.queues[0].channel?.counters.spuriousEvents == 1)
    system.finish()
  }

  private final class Front: Sendable {
    let wasAsked = Atomic<Bool>(false)
    let isDone = Atomic<Bool>(false)
  }
}
