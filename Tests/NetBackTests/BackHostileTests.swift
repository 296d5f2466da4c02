import EventLoop
import LinuxSystem
import Logging
@testable import NetBack
import NetEngine
import NetInterface
import NetPackets
import SharedMemory
import SharedRing
import Synchronization
import TestSupport
import Testing
import XenInterface
import XenPlatform

/// What a hostile front-end tries within the rules of the rings: each test ends with nothing mapped and a vif that serves.
@Suite struct BackHostileTests {
  // MARK: Lengths

  @Test func xsa432EveryCountOfFragmentsWithEverySmallSize() throws {
    let system = try VifSystem(arenaPageCount: 60)
    let pages = system.newPages(23)
    var taken = 0
    for fragments in 0...20 {
      for total in 14...300 where total >= fragments {
        let frame = Frames.ethernet(byteCount: total)
        let pieces = [total - fragments] + [Int](repeating: 1, count: fragments)
        let statuses = try system.statuses(system.slots(frame, pieces: pieces, pages: pages))
        let isTaken = fragments <= 18
        #expect(statuses == [NetifStatus?](repeating: isTaken ? .okay : .error, count: fragments + 1), "\(fragments) fragments of \(total) bytes")
        if isTaken { taken += 1 }
        if isTaken, system.port.frames.last?.bytes != frame { Issue.record("\(fragments) fragments of \(total) bytes differ") }
        system.port.forget()
      }
    }
    #expect(system.port.frameCount == taken)
    #expect(system.faults.isEmpty)
    #expect(system.mappedForFrames == 0)
    try system.expectAlive()
    for count in [21, 22] {
      let fatal = try VifSystem(arenaPageCount: 60)
      fatal.queues[0].put(fatal.slots(Frames.ethernet(byteCount: 300), pieces: [300 - count] + [Int](repeating: 1, count: count)))
      fatal.turn()
      #expect(fatal.faults.count == 1)
      fatal.finish()
    }
    system.finish()
  }

  @Test func xsa448FragmentsOfNoBytesAnywhere() throws {
    let system = try VifSystem(arenaPageCount: 60)
    let pages = system.newPages(20)
    for count in 1...18 {
      for empty in 0...count {
        var pieces = [Int](repeating: 50, count: count + 1)
        pieces[empty] = 0
        let frame = Frames.ethernet(byteCount: 50 * count)
        #expect(try system.statuses(system.slots(frame, pieces: pieces, pages: pages)) == pieces.map { _ in .okay })
        #expect(system.port.frames.last?.bytes == frame)
        system.port.forget()
      }
      // All but the first.
      let frame = Frames.ethernet(byteCount: 400)
      #expect(
        try system.statuses(system.slots(frame, pieces: [400] + [Int](repeating: 0, count: count), pages: pages))
          == [NetifStatus?](repeating: .okay, count: count + 1))
      #expect(system.port.frames.last?.bytes == frame)
    }
    // An empty fragment needs no page: its reference is not looked at.
    var slots = system.slots(Frames.ethernet(byteCount: 300), pieces: [300, 0], pages: pages)
    slots[1].grantReference = GrantReference(rawValue: .max)
    #expect(try system.statuses(slots) == [.okay, .okay])
    try system.expectAlive()
    system.finish()
  }

  @Test func framesThatAreNoneAreAnsweredWithAnError() throws {
    let system = try VifSystem()
    for byteCount in 0..<14 { #expect(try system.statuses(system.slots(Frames.ethernet(byteCount: byteCount), pieces: [byteCount])) == [.error]) }
    // Fragments that sum up to more than the frame.
    var slots = system.slots(Frames.ethernet(byteCount: 300), pieces: [100, 100, 100])
    slots[0].byteCount = 150
    #expect(try system.statuses(slots) == [.error, .error, .error])
    #expect(system.counters.transmitErrors.malformed == 15)
    #expect(system.port.frameCount == 0)
    try system.expectAlive()
    system.finish()
  }

  @Test func xsa423HeadersSplitAtEveryOffset() throws {
    let system = try VifSystem(arenaPageCount: 60)
    let pages = system.newPages(20)
    for (frame, end) in [(Frames.tcp4, 54), (Frames.udp6, 62), (Frames.ipv4(protocol: 6, payload: Frames.tcp(payload: 900), options: 40), 94)] {
      for split in 1..<end {
        // One cut there; then a cut into single bytes from there on.
        for pieces in [[split, frame.count - split], [split] + [Int](repeating: 1, count: 17) + [frame.count - split - 17]] {
          #expect(try system.statuses(system.slots(frame, pieces: pieces, pages: pages, flags: .checksumBlank)) == pieces.map { _ in .okay })
          let seen = try #require(system.port.frames.last)
          #expect(seen.bytes == frame)
          #expect(seen.headByteCount == 256, "all headers in one place")
          #expect(seen.offload.checksumStart > 0)
          system.port.forget()
        }
      }
    }
    system.finish()
  }

  // MARK: Grants

  /// References that cannot be mapped: never granted, revoked, of no arena.
  private func badReferences(_ system: VifSystem) -> [GrantReference] {
    let revoked = system.newPage()
    system.arena.grant(page: revoked)
    #expect(system.arena.endAccess(page: revoked))
    return [
      system.arena.reference(ofPage: system.newPage()), system.arena.reference(ofPage: revoked), GrantReference(rawValue: 0),
      GrantReference(rawValue: .max),
    ]
  }

  @Test func xsa361And362OneBadReferenceFailsTheFrameWhereverItIs() throws {
    let system = try VifSystem(arenaPageCount: 60)
    let pages = system.newPages(19)
    let frame = Frames.ethernet(byteCount: 19 * 300)
    for bad in badReferences(system) {
      for position in 0..<19 {
        var slots = system.slots(frame, pieces: [Int](repeating: 300, count: 19), pages: pages)
        slots[position].grantReference = bad
        #expect(try system.statuses(slots) == [NetifStatus?](repeating: .error, count: 19))
        #expect(system.mappedForFrames == 0)
      }
    }
    #expect(system.counters.transmitErrors.grant == 4 * 19)
    #expect(system.port.frameCount == 0)
    try system.expectAlive()
    system.finish()
  }

  @Test func xsa365And367LaterSuccessNeverHidesAnEarlierFailure() throws {
    let system = try VifSystem(arenaPageCount: 60)
    let pages = system.newPages(6)
    let bad = system.arena.reference(ofPage: system.newPage())
    let frame = Frames.ethernet(byteCount: 3000)
    for pattern in 0..<64 {
      var slots = system.slots(frame, pieces: [Int](repeating: 500, count: 6), pages: pages)
      for index in 0..<6 where pattern >> index & 1 == 1 { slots[index].grantReference = bad }
      #expect(try system.statuses(slots) == [NetifStatus?](repeating: pattern == 0 ? .okay : .error, count: 6))
    }
    system.finish()
  }

  @Test func xsa371PagesOfBadFramesAreGivenBack() throws {
    let system = try VifSystem(arenaPageCount: 60)
    let pages = system.newPages(3)
    let bad = system.arena.reference(ofPage: system.newPage())
    for _ in 0..<2000 {
      var slots = system.slots(Frames.ethernet(byteCount: 3000), pieces: [1000, 1000, 1000], pages: pages)
      slots[2].grantReference = bad
      #expect(try system.perform(slots).allSatisfy { $0.status == NetifStatus.error.rawValue })
    }
    #expect(system.mappedForFrames == 0)
    #expect(system.plane?.inFlightCount == 0)
    try system.expectAlive()
    system.finish()
  }

  @Test func postedPagesThatCannotBeWrittenFailOnlyTheirFrame() throws {
    let system = try VifSystem()
    let readOnly = system.newPage()
    let references = badReferences(system) + [system.arena.grant(page: readOnly, readOnly: true)]
    for bad in references {
      for position in 0..<3 {
        var buffers = system.newPages(3).map { (page: $0, reference: system.arena.grant(page: $0)) }
        buffers[position].reference = bad
        system.queues[0].post(buffers)
        system.turn(1)
        system.port.deliver(Frames.ethernet(byteCount: 9000, to: Frames.guest))
        #expect(try system.queues[0].takeFrames().map(\.statuses) == [[-1, -1, -1]])
      }
    }
    #expect(system.counters.receiveDrops.grant == UInt64(3 * references.count))
    system.queues[0].post(system.newPages(3))
    system.turn(1)
    system.port.deliver(Frames.ethernet(byteCount: 9000, to: Frames.guest))
    #expect(try system.queues[0].takeFrames().map(\.bytes) == [Frames.ethernet(byteCount: 9000, to: Frames.guest)])
    system.finish()
  }

  @Test func aPostedPageThatIsNamedAnewAfterItWasMappedIsUsedAsItIsNamedThen() throws {
    let system = try VifSystem()
    let queue = system.queues[0]
    let pages = system.newPages(13)
    let frames = (0..<12).map { Frames.ethernet(byteCount: 100, to: Frames.guest, seed: $0) }
    queue.post(Array(pages[..<12]))
    system.turn(1)
    // A batch of four, so that the next one maps four pages at once.
    for index in 0..<4 { system.port.deliver(frames[index], endsBatch: index == 3) }
    #expect(system.mappedForFrames == 0)
    system.port.deliver(frames[4], endsBatch: false)
    #expect(system.mappedForFrames == 4, "that of the frame and three that are posted behind it")
    queue.rename(posted: 5, page: pages[12])
    queue.rename(posted: 6, reference: GrantReference(rawValue: 0x7fff_0000))
    for index in 5..<12 { system.port.deliver(frames[index], endsBatch: index == 11) }
    #expect(system.mappedForFrames == 0)
    let received = try queue.takeFrames()
    #expect(received.map(\.statuses) == (0..<12).map { [$0 == 6 ? -1 : 100] })
    for index in 0..<12 where index != 6 { #expect(received[index].bytes == frames[index], "frame \(index)") }
    #expect(system.counters.receiveDrops.grant == 1)
    system.finish()
  }

  // MARK: Floods

  @Test func xsa43AFloodOfBadFramesDoesNotFloodTheLog() throws {
    let lines = CountingLog()
    let system = try VifSystem(logger: Logger(label: "test") { _ in lines.handler })
    var slots = system.slots(Frames.ethernet(byteCount: 64))
    slots[0].grantReference = GrantReference(rawValue: 0)
    for _ in 0..<200 {
      for _ in 0..<256 { system.queues[0].put(slots) }
      #expect(try system.responses(256).allSatisfy { $0.status == NetifStatus.error.rawValue })
    }
    #expect(lines.count > 0)
    #expect(lines.count < 100)
    #expect(system.counters.transmitErrors.grant == 51200)
    system.finish()
  }

  @Test func xsa331And332AStormOfEventsOnEmptyRingsIsSlowedDown() throws {
    let system = try VifSystem()
    let channel = system.queues[0].channels[0]
    for _ in 0..<300 {
      EventDescriptor.signal(channel.signalDescriptor)
      // With a timer, so that the loop's sleep, where channels are armed again, ends by itself.
      system.loop.schedule(afterNanoseconds: 10_000) {}
      system.loop.turn()
    }
    let counters = try #require(system.plane?.queues[0].channels.first?.counters)
    #expect(counters.spuriousEvents > 1)
    #expect(counters.delayedNanoseconds > 0)
    #expect(counters.events < 300)
    try system.expectAlive()
    system.finish()
  }

  @Test func xsa424DroppingUnderFullLoadLeavesNothingBehind() throws {
    let system = try VifSystem(queueCount: 2, arenaPageCount: 60)
    let pages = system.newPages(2)
    for round in 0..<50 {
      system.port.outcome = round % 2 == 0 ? .pending : .dropped
      for queue in 0..<2 { while system.queues[queue].freeTransmitCount > 0 { system.queues[queue].put(system.slots(Frames.ethernet(byteCount: 4000), pages: [pages[queue]])) } }
      for _ in 0..<300 { system.port.deliver(Frames.ethernet(byteCount: 2000, to: Frames.guest), queue: round & 1, endsBatch: false) }
      system.turn(6)
      while let last = system.port.pending.indices.last { system.port.end(round % 3 == 0 ? 0 : last, succeeded: false) }
      system.turn(6)
      while let last = system.port.pending.indices.last { system.port.end(last, succeeded: false) }
      system.turn()
      for queue in system.queues { #expect(try queue.takeTransmitResponses().allSatisfy { $0.status == NetifStatus.dropped.rawValue }) }
      system.port.forget()
    }
    #expect(system.mappedForFrames == 0)
    system.finish()
  }

  // MARK: The control ring

  @Test func xsa270TableOffsetsThatOverflow() throws {
    let system = try VifSystem(queueCount: 2, control: true)
    let page = system.newPage()
    let reference = system.arena.grant(page: page, readOnly: true).rawValue
    #expect(try system.configure(.setHashMappingSize, 129)?.status == .invalidParameter)
    #expect(try system.configure(.setHashMappingSize, .max)?.status == .invalidParameter)
    #expect(try system.configure(.setHashMappingSize, 128)?.status == .success)
    for (count, first) in [(2, .max), (.max, 2), (.max, .max), (129, 0), (1, 128), (128, 1), (1025, 0), (0x4000_0000, 0)] as [(UInt32, UInt32)] {
      #expect(try system.configure(.setHashMapping, reference, count, first)?.status == .invalidParameter, "\(count) from \(first)")
    }
    #expect(try system.configure(.setHashMapping, reference, 128, 0)?.status == .success)
    // A queue that does not exist, at each end of a part; nothing of that part is taken over.
    for index in [0, 64, 127] {
      system.arena.bytes.store32(2, at: page * pageByteCount + index * 4)
      #expect(try system.configure(.setHashMapping, reference, 128, 0)?.status == .invalidParameter)
      system.arena.bytes.store32(0, at: page * pageByteCount + index * 4)
    }
    #expect(system.plane?.control?.hashing.mapping == [Int](repeating: 0, count: 128))
    #expect(try system.configure(.setHashKey, reference, 41)?.status == .bufferOverflow)
    for bad in [0, .max] as [UInt32] {
      #expect(try system.configure(.setHashKey, bad, 40)?.status == .invalidParameter)
      #expect(try system.configure(.setHashMapping, bad, 1, 0)?.status == .invalidParameter)
    }
    for type in [0, 11, 255, 65535] as [UInt16] { #expect(try system.configure(type, [1, 2, 3])?.status == .notSupported) }
    #expect(try system.configure(.setHashFlags, 16)?.status == .invalidParameter)
    #expect(try system.configure(.setHashAlgorithm, 2)?.status == .invalidParameter)
    #expect(system.mappedForFrames == 0)
    try system.expectAlive()
    system.finish()
  }

  // MARK: Double fetches

  @Test func xsa155AGuestThatRewritesWhatIsReadGetsAnswersAndNothingElse() throws {
    let system = try VifSystem(arenaPageCount: 60)
    system.port.isRecording = false
    let pages = system.newPages(4)
    let flipper = BusyThread.flipping(
      ring: system.queues[0].transmitMemory, pages: system.arena.bytes.slice(at: pages[0] * pageByteCount, byteCount: pageByteCount))
    let frame = Frames.ipv4(protocol: 6, payload: Frames.tcp(payload: 600))
    var answered = 0
    for _ in 0..<300 {
      let slots = system.slots(frame, pieces: [200, frame.count - 200], pages: pages, flags: .checksumBlank)
      for _ in 0..<100 { system.queues[0].put(slots) }
      answered += try system.responses(200).count
    }
    flipper.stop()
    #expect(answered == 300 * 200)
    #expect(system.faults.isEmpty)
    #expect(system.counters.transmitErrors.malformed > 0, "the flipper has hit something")
    #expect(system.port.frameCount > 0, "and left something alone")
    #expect(system.mappedForFrames == 0)
    system.finish()
  }

  @Test func xsa155HeadersThatChangeAfterTheyWereTakenDoNotMatter() throws {
    let system = try VifSystem(arenaPageCount: 60)
    let page = system.newPage()
    let frame = Frames.tcp4
    system.port.outcome = .pending
    system.queues[0].put(system.slots(frame, pages: [page], flags: .checksumBlank))
    system.turn()
    system.arena.bytes.copyIn([UInt8](repeating: 0xff, count: 4096), at: page * pageByteCount)
    let pending = try #require(system.port.pending.first)
    #expect(Array(system.port.bytes(of: pending)[..<256]) == Array(frame[..<256]))
    #expect(FrameHeaders(of: pending).transport == .tcp)
    #expect(system.port.bytes(of: pending)[256] == 0xff, "the rest is where the guest has it")
    system.finish()
  }

  // MARK: Anything

  @Test(arguments: Seeds.chosen(part: 0, count: 30))
  func randomSlotsNeverTrapAndAreAllAnswered(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let system = try VifSystem(arenaPageCount: 60)
    system.port.isRecording = false
    let pages = system.newPages(8)
    let references = pages.map { system.arena.grant(page: $0) } + [GrantReference(rawValue: 0), system.arena.reference(ofPage: system.newPage())]
    for page in pages { system.arena.bytes.copyIn(Frames.tcp4, at: page * pageByteCount) }
    let isWild = seed % 3 == 0
    var sent = 0
    var answered = 0
    for _ in 0..<200 where system.faults.isEmpty {
      system.port.outcome = [.done, .pending, .dropped].randomElement(using: &random) ?? .done
      for _ in 0..<Int.random(in: 1...8, using: &random) where system.queues[0].freeTransmitCount > 40 {
        let slots = Self.randomChain(references, isWild: isWild, &random)
        system.queues[0].put(slots)
        sent += slots.count
      }
      if random.one(in: 3) { system.queues[0].post((0..<Int.random(in: 0...min(4, system.queues[0].freeReceiveCount), using: &random)).map { _ in pages[0] }.map { ($0, references.randomElement(using: &random) ?? references[0]) }) }
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        system.port.deliver(Frames.ethernet(byteCount: Int.random(in: 14...20000, using: &random), to: Frames.guest))
      }
      system.turn(2)
      while !system.port.pending.isEmpty, !random.one(in: 4) { system.port.end(Int.random(in: 0..<system.port.pending.count, using: &random), succeeded: random.next() & 1 == 0) }
      system.turn(1)
      answered += try system.queues[0].takeTransmitResponses().count
      while try system.queues[0].takeReceived() != nil {}
    }
    system.port.endAll()
    system.turn()
    answered += try system.queues[0].takeTransmitResponses().count
    if system.faults.isEmpty { #expect(answered == sent) } else { #expect(answered <= sent) }
    if !isWild { #expect(system.faults.isEmpty) }
    #expect(system.mappedForFrames == 0)
    #expect(system.plane?.inFlightCount == 0)
    system.finish()
  }

  /// A chain that ends where its flags say; wild ones have other mistakes too.
  private static func randomChain(_ references: [GrantReference], isWild: Bool, _ random: inout SeededGenerator) -> [NetifTransmitRequest] {
    let count = Int.random(in: 1...(isWild && random.one(in: 50) ? 23 : 20), using: &random)
    var extras: [NetifExtraInfo] = []
    if random.one(in: 3) { extras.append(Frames.segmentation(UInt8.random(in: 1...2, using: &random))) }
    if random.one(in: 4) { extras.append(Frames.other(type: UInt8.random(in: 4...5, using: &random))) }
    if random.one(in: 9) { extras.append(Frames.multicast([.multicastAdd, .multicastRemove].randomElement(using: &random) ?? .multicastAdd, [1, 0, 0, 0, 0, UInt8(random.next() & 255)])) }
    if isWild, random.one(in: 100) { extras.append(Frames.other(type: UInt8(random.next() & 255))) }
    var slots: [NetifTransmitRequest] = []
    for index in 0..<count {
      var request = NetifTransmitRequest()
      request.grantReference = references[random.one(in: 30) ? Int.random(in: 0..<references.count, using: &random) : 0]
      request.identifier = UInt16(random.next() & 0xffff)
      request.byteCount = UInt16(Int.random(in: 0...200, using: &random))
      request.offset = UInt16(isWild && random.one(in: 200) ? Int.random(in: 0...65535, using: &random) : Int.random(in: 0...100, using: &random))
      request.flags = index + 1 < count ? NetifTransmitFlags.moreData.rawValue : 0
      if index == 0 {
        request.byteCount = UInt16(Int.random(in: 0...3900, using: &random))
        var flags = NetifTransmitFlags(rawValue: request.flags)
        if random.next() & 1 == 0 { flags.insert(.checksumBlank) }
        if !extras.isEmpty { flags.insert(.extraInfo) }
        request.flags = flags.rawValue
      }
      slots.append(request)
      if index == 0 {
        for (number, extra) in extras.enumerated() {
          var extra = extra
          extra.flags = number + 1 < extras.count ? NetifExtraFlags.more.rawValue : 0
          slots.append(NetifTransmitRequest(extra))
        }
      }
    }
    return slots
  }
}
