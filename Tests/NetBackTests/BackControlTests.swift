@testable import NetBack
import NetEngine
import NetInterface
import NetPackets
import SharedMemory
import Testing
import XenInterface
import XenPlatform

/// The control ring: how frames are spread over queues, grants that stay mapped.
@Suite struct BackControlTests {
  /// The key and inputs of Microsoft's "Verifying the RSS hash calculation".
  static let key: [UInt8] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
  ]
  static let vectors: [(source: [UInt8], sourcePort: UInt16, destination: [UInt8], port: UInt16, addresses: UInt32, ports: UInt32)] = [
    ([66, 9, 149, 187], 2794, [161, 142, 100, 80], 1766, 0x323e_8fc2, 0x51cc_c178),
    ([199, 92, 111, 2], 14230, [65, 69, 140, 83], 4739, 0xd718_262a, 0xc626_b0ea),
    ([24, 19, 198, 95], 12898, [12, 22, 207, 184], 38024, 0xd2d0_a5de, 0x5c2b_394a),
    ([38, 27, 205, 30], 48228, [209, 142, 163, 6], 2217, 0x8298_9176, 0xafc7_327f),
    ([153, 39, 163, 191], 44251, [202, 188, 127, 2], 1303, 0x5d18_09c5, 0x10e8_28a2),
    (
      [0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 7], 2794,
      [0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 1], 1766, 0x2cc1_8cd5, 0x4020_7d3d
    ),
  ]

  private func connected(queueCount: Int = 4) throws -> VifSystem {
    let system = try VifSystem(queueCount: queueCount, control: true)
    for queue in system.queues { queue.post(system.newPages(40)) }
    return system
  }

  private let done = VifSystem.ControlAnswer(status: .success, data: 0)
  private let invalid = VifSystem.ControlAnswer(status: .invalidParameter, data: 0)

  private func setKey(_ system: VifSystem) throws {
    let page = system.newPage()
    system.arena.bytes.copyIn(Self.key, at: page * pageByteCount)
    #expect(try system.configure(.setHashKey, system.arena.grant(page: page, readOnly: true).rawValue, 40) == done)
  }

  private func frame(_ vector: Int, protocol number: UInt8 = 6) -> [UInt8] {
    let (source, sourcePort, destination, port, _, _) = Self.vectors[vector]
    let payload = number == 6 ? Frames.tcp(from: sourcePort, to: port, payload: 10) : Frames.udp(from: sourcePort, to: port, payload: 10)
    return source.count == 4
      ? Frames.ipv4(protocol: number, payload: payload, source: source, destination: destination)
      : Frames.ipv6(protocol: number, payload: payload, source: source, destination: destination)
  }

  /// The queue that the next frame comes out of, and its hash.
  private func deliver(_ bytes: [UInt8], _ system: VifSystem) throws -> (queue: Int, hash: NetifExtraHash?) {
    system.port.deliver(bytes, queue: 3)
    for (index, queue) in system.queues.enumerated() {
      if let frame = try queue.takeFrames().first {
        return (index, frame.extras.first.flatMap { $0.type == NetifExtraType.hash.rawValue ? NetifExtraHash(slot: $0) : nil })
      }
    }
    Issue.record("the frame did not come")
    return (-1, nil)
  }

  @Test func hashesAreThoseOfThePublishedVectors() throws {
    let system = try connected()
    try setKey(system)
    #expect(try system.configure(.setHashAlgorithm, 1) == done)
    #expect(try system.configure(.getHashFlags)?.data == 15)
    for flags in [5, 10, 15] as [UInt32] {
      #expect(try system.configure(.setHashFlags, flags) == done)
      for (index, vector) in Self.vectors.enumerated() {
        let isV6 = vector.source.count == 16
        let (queue, hash) = try deliver(frame(index), system)
        let value = flags == 5 ? vector.addresses : vector.ports
        #expect(hash?.value == value)
        #expect(hash?.hashType == (isV6 ? 2 : 0) + (flags == 5 ? 0 : 1))
        #expect(hash?.algorithm == 1)
        #expect(queue == Int(value % 4))
        // UDP has no type of its own: its addresses are hashed, or nothing.
        let other = try deliver(frame(index, protocol: 17), system)
        #expect(other.hash?.value == (flags == 10 ? nil : vector.addresses))
        #expect(other.queue == (flags == 10 ? 0 : Int(vector.addresses % 4)))
      }
    }
    #expect(try deliver(Frames.ethernet(byteCount: 60, to: Frames.guest), system).hash == nil)
    #expect(try system.configure(.setHashAlgorithm, 0) == done)
    let (queue, hash) = try deliver(frame(0), system)
    #expect(queue == 3 && hash == nil, "the port's choice again")
    system.finish()
  }

  @Test func theTableSaysWhichQueueAHashGoesTo() throws {
    let system = try connected()
    try setKey(system)
    #expect(try system.configure(.setHashAlgorithm, 1) == done)
    #expect(try system.configure(.setHashFlags, 15) == done)
    #expect(try system.configure(.getHashMappingSize)?.data == 128)
    #expect(try system.configure(.setHashMappingSize, 7) == done)
    #expect(try deliver(frame(0), system).queue == 0, "a new table is all zeros")
    let page = system.newPage()
    let reference = system.arena.grant(page: page, readOnly: true).rawValue
    let table: [UInt32] = [3, 1, 2, 0, 2, 1, 3]
    for (index, queue) in table.enumerated() { system.arena.bytes.store32(queue, at: page * pageByteCount + index * 4) }
    #expect(try system.configure(.setHashMapping, reference, 7, 0) == done)
    for index in Self.vectors.indices {
      #expect(try deliver(frame(index), system).queue == Int(table[Int(Self.vectors[index].ports % 7)]))
    }
    system.finish()
  }

  // MARK: Grants that stay mapped

  /// A page of entries for grants.
  private func table(_ entries: [(GrantReference, UInt16)], _ system: VifSystem) -> (page: Int, reference: UInt32) {
    system.grantTable(entries)
  }

  @Test func keptGrantsAreUsedWithoutMapping() throws {
    let system = try VifSystem(control: true)
    #expect(try system.configure(.getGrantMappingSize, 0)?.data == UInt32(KeptGrants.capacity))
    let pages = system.newPages(3)
    let references = pages.map { system.arena.grant(page: $0) }
    let (tablePage, tableReference) = table(references.map { ($0, 0) }, system)
    #expect(try system.configure(.addGrantMapping, 0, tableReference, 3) == done)
    #expect(system.mappedForFrames == 3)
    // With the entries gone, only what is kept can be used: so nothing is mapped.
    let rings = 3
    let sent = system.slots(Frames.ethernet(byteCount: 200), pages: [pages[0]])
    for page in pages { _ = system.arena.endAccess(page: page) }
    #expect(try system.statuses(sent) == [.okay])
    #expect(system.port.frames.last?.bytes == Frames.ethernet(byteCount: 200))
    system.queues[0].post([(pages[1], references[1]), (pages[2], references[2])])
    system.turn()
    #expect(system.port.deliver(Frames.ethernet(byteCount: 5000, to: Frames.guest)) == .delivered)
    #expect(try system.queues[0].takeFrames().map(\.bytes) == [Frames.ethernet(byteCount: 5000, to: Frames.guest)])
    #expect(system.plane?.grants.mappedPageCount == rings + 3)
    #expect(try system.configure(.removeGrantMapping, 0, tableReference, 3) == .init(status: .success, data: 3))
    for index in 0..<3 { #expect(NetifGrantMapping(copying: system.arena.bytes, at: tablePage * pageByteCount + index * 8).status == 0) }
    #expect(try system.statuses(sent) == [.error], "the grants are gone")
    #expect(system.mappedForFrames == 0)
    #expect(try system.configure(.removeGrantMapping, 0, tableReference, 3) == .init(status: .success, data: 0))
    #expect(NetifGrantMapping(copying: system.arena.bytes, at: tablePage * pageByteCount).status == UInt16(NetifControlStatus.invalidParameter.rawValue))
    system.finish()
  }

  @Test func readOnlyOnesAreNotWrittenTo() throws {
    let system = try VifSystem(control: true)
    let page = system.newPage()
    let reference = system.arena.grant(page: page, readOnly: true)
    #expect(try system.configure(.addGrantMapping, 0, table([(reference, 0)], system).reference, 1) == invalid, "granted for reading only")
    #expect(try system.configure(.addGrantMapping, 0, table([(reference, 1)], system).reference, 1) == done)
    system.queues[0].post([(page, reference)])
    system.turn()
    system.port.deliver(Frames.ethernet(byteCount: 60, to: Frames.guest))
    #expect(try system.queues[0].takeFrames().map(\.statuses) == [[-1]])
    #expect(system.counters.receiveDrops.grant == 1)
    #expect(try system.statuses(system.slots(Frames.ethernet(byteCount: 60), pages: [page])) == [.okay])
    system.finish()
  }

  @Test func grantsAreKeptAllOrNone() throws {
    let system = try VifSystem(control: true, arenaPageCount: KeptGrants.capacity + 100)
    let good = system.newPages(4).map { system.arena.grant(page: $0) }
    let bad = system.arena.reference(ofPage: system.newPage())
    for position in 0..<5 {
      var entries = good.map { ($0, UInt16(0)) }
      entries.insert((bad, 0), at: position)
      #expect(try system.configure(.addGrantMapping, 0, table(entries, system).reference, 5) == invalid)
      #expect(system.mappedForFrames == 0)
    }
    #expect(try system.configure(.addGrantMapping, 0, table([(good[0], 0), (good[0], 0)], system).reference, 2) == invalid, "twice")
    #expect(try system.configure(.addGrantMapping, 0, table(good.map { ($0, 0) }, system).reference, 4) == done)
    #expect(try system.configure(.addGrantMapping, 0, table([(good[1], 0)], system).reference, 1) == invalid, "kept already")
    #expect(system.mappedForFrames == 4)
    let perPage = NetifLimits.grantMappingsPerPage
    let many = system.newPages(KeptGrants.capacity - 3).map { (system.arena.grant(page: $0), UInt16(0)) }
    var added = 0
    while many.count - added > perPage {
      #expect(try system.configure(.addGrantMapping, 0, table(Array(many[added..<added + perPage]), system).reference, UInt32(perPage)) == done)
      added += perPage
    }
    let rest = Array(many[added...])
    #expect(try system.configure(.addGrantMapping, 0, table(rest, system).reference, UInt32(rest.count)) == invalid, "one too many")
    #expect(try system.configure(.addGrantMapping, 0, table(Array(rest.dropLast()), system).reference, UInt32(rest.count - 1)) == done)
    #expect(system.mappedForFrames == KeptGrants.capacity)
    for (index, data) in [[1, 8, 1], [0, .max, 1], [0, 8, 513], [0, 8, .max]].enumerated() as EnumeratedSequence<[[UInt32]]> {
      #expect(try system.configure(9, data) == invalid, "case \(index)")
      #expect(try system.configure(10, data) == invalid, "case \(index)")
    }
    system.finish()
  }

  @Test func removingSomeLeavesTheOthers() throws {
    let system = try VifSystem(control: true, arenaPageCount: 1200)
    let references = system.newPages(512).map { system.arena.grant(page: $0) }
    #expect(try system.configure(.addGrantMapping, 0, table(references.map { ($0, 0) }, system).reference, 512) == done)
    let odd = references.enumerated().filter { $0.offset % 2 == 1 }.map { ($0.element, UInt16(0)) }
    #expect(try system.configure(.removeGrantMapping, 0, table(odd, system).reference, 256)?.data == 256)
    let kept = try #require(system.plane?.queues[0].kept)
    for (index, reference) in references.enumerated() { #expect((kept.page(of: reference, writable: true) != nil) == (index % 2 == 0)) }
    #expect(kept.count == 256)
    system.finish()
  }
}
