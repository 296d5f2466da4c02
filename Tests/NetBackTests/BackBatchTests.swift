@testable import NetBack
import NetEngine
import NetInterface
import NetPackets
import SharedMemory
import TestSupport
import Testing
import XenInterface
import XenPlatform

/// Frames that are taken and delivered by the batch, against the same frames one by one.
@Suite struct BackBatchTests {
  /// A rate that never holds anything back: the vif then takes frame after frame.
  private static let oneByOne = RateLimit(byteCount: UInt64(UInt32.max), microseconds: 1)

  // MARK: From the guest

  /// Everything that can be seen of a vif from outside.
  private struct Seen: Equatable {
    var frames: [RecordingPort.Recorded] = []
    var answers: [[String]] = []
    var counters = NetQueueCounters()
    var faultCount = 0
    var mappedCount = 0
  }

  @Test(arguments: Seeds.chosen(part: 0, count: 12))
  func theSameFramesAnswersAndCountersAsOneByOne(seed: UInt64) throws {
    #expect(try play(seed, rate: nil) == play(seed, rate: Self.oneByOne), "seed \(seed)")
  }

  /// Of 250 pages so many are kept: batches come with all of their pages, with some and with none.
  @Test(arguments: Seeds.chosen(part: 1, count: 12))
  func theSameWithGrantsThatAreKept(seed: UInt64) throws {
    let count = [250, 245, 60][Int(seed % 3)]
    #expect(try play(seed, rate: nil, keptCount: count) == play(seed, rate: Self.oneByOne, keptCount: count), "seed \(seed)")
  }

  /// Sends what the seed says: frames of all sizes, some in several pieces, some with something wrong, to a port that takes, keeps or drops them.
  private func play(_ seed: UInt64, rate: RateLimit?, keptCount: Int = 0) throws -> Seen {
    var random = SeededGenerator(seed: seed)
    let system = try VifSystem(control: true, rate: rate, arenaPageCount: 300)
    let pages = system.newPages(250)
    try system.keep(pages[..<keptCount], readOnly: true)
    var seen = Seen()
    var identifier = 0
    for _ in 0..<60 {
      system.port.outcomes = (0..<Int.random(in: 1...9, using: &random)).map { _ in [.done, .done, .done, .pending, .dropped].randomElement(using: &random) ?? .done }
      var slots: [NetifTransmitRequest] = []
      var nextPage = 0
      for _ in 0..<Int.random(in: 1...70, using: &random) {
        let frame = Self.frame(&random)
        var pieces = frame.bytes.count > 4000 ? [2000, frame.bytes.count - 2000] : [frame.bytes.count]
        if Int.random(in: 0..<12, using: &random) == 0, (60...4000).contains(frame.bytes.count) { pieces = [frame.bytes.count - 20, 20] }
        guard nextPage + pieces.count <= pages.count, slots.count + pieces.count + 1 <= system.queues[0].freeTransmitCount else { break }
        var made = system.slots(
          frame.bytes, pieces: pieces, pages: Array(pages[nextPage..<nextPage + pieces.count]), offset: Int.random(in: 0...90, using: &random),
          flags: frame.flags, extras: Int.random(in: 0..<40, using: &random) == 0 ? [Frames.segmentation()] : [], identifier: identifier)
        nextPage += pieces.count
        identifier = (identifier + 32) & 0x7fff
        switch Int.random(in: 0..<30, using: &random) {
        case 0: made[0].grantReference = GrantReference(rawValue: 0xfff0)
        case 1 where nextPage - pieces.count >= keptCount: _ = system.arena.endAccess(page: pages[nextPage - pieces.count])
        case 2 where made.count == 1: made[0].byteCount = 13
        default: break
        }
        slots += made
      }
      system.queues[0].put(slots)
      system.turn()
      seen.answers.append(try system.queues[0].takeTransmitResponses().map { "\($0)" })
      while !system.port.pending.isEmpty, Bool.random(using: &random) {
        system.port.end(Int.random(in: 0..<system.port.pending.count, using: &random), succeeded: Bool.random(using: &random))
      }
      system.turn(1)
      seen.answers.append(try system.queues[0].takeTransmitResponses().map { "\($0)" })
      // A page is used again only when nobody has it: the port may still read it.
      if !system.port.pending.isEmpty {
        system.port.endAll()
        system.turn(1)
        seen.answers.append(try system.queues[0].takeTransmitResponses().map { "\($0)" })
      }
    }
    seen.frames = system.port.frames
    seen.counters = system.counters
    seen.faultCount = system.faults.count
    seen.mappedCount = system.mappedForFrames - keptCount
    #expect(system.faults.isEmpty)
    #expect(seen.mappedCount == 0 && seen.frames.count > 500)
    #expect(seen.counters.transmitErrors.grant > 0 && seen.counters.transmitErrors.headers > 0 && seen.counters.transmitErrors.malformed > 0)
    system.finish()
    return seen
  }

  private static func frame(_ random: inout SeededGenerator) -> (bytes: [UInt8], flags: NetifTransmitFlags) {
    switch Int.random(in: 0..<16, using: &random) {
    case 0: (Frames.tcp4, [.checksumBlank, .dataValidated])
    case 1: (Frames.udp6, [.checksumBlank])
    case 2: (Frames.ethernet(byteCount: 100), [.checksumBlank])
    case 3: (Frames.ethernet(byteCount: 80), [.dataValidated])
    case 4: (Frames.ethernet(byteCount: Int.random(in: 4000...5900, using: &random)), [])
    case 5, 6: (Frames.ethernet(byteCount: Int.random(in: 250...1600, using: &random), seed: Int.random(in: 0..<4096, using: &random)), [])
    default: (Frames.ethernet(byteCount: Int.random(in: 14...256, using: &random), seed: Int.random(in: 0..<4096, using: &random)), [])
    }
  }

  @Test(arguments: [0, 1, 31, 32, 33, 63] as [Int])
  func aFatalSlotStopsTheVifAfterTheFramesBeforeIt(before: Int) throws {
    for rate in [nil, Self.oneByOne] {
      let system = try VifSystem(rate: rate)
      let pages = system.newPages(70)
      var slots = (0..<before + 3).map { system.slots(Frames.ethernet(byteCount: 60, seed: $0), pages: [pages[$0]], identifier: $0)[0] }
      slots[before].offset = 4090
      system.queues[0].put(slots)
      system.turn()
      #expect(system.faults.count == 1 && system.port.frameCount == before, "\(before) before it")
      #expect(system.mappedForFrames == 0)
      system.finish()
    }
  }

  @Test func whatAPortHasStaysMappedWhenItIsKeptNoLonger() throws {
    let system = try VifSystem(control: true)
    let page = system.newPage()
    let table = try #require(try system.keep([page], readOnly: true))
    system.port.outcome = .pending
    let frame = Frames.ethernet(byteCount: 1400)
    system.queues[0].put(system.slots(frame, pages: [page]))
    system.turn()
    #expect(system.mappedForFrames == 2)
    #expect(try system.configure(.removeGrantMapping, 0, table, 1)?.data == 1)
    #expect(system.mappedForFrames == 1 && !system.arena.endAccess(page: page), "the port has it")
    system.port.endAll()
    #expect(system.mappedForFrames == 0 && system.port.frames.last?.bytes == frame)
    system.finish()
  }

  @Test func aPortMayBeDoneWithAFrameBeforeTheBatchReturns() throws {
    let system = try VifSystem()
    let pages = system.newPages(40)
    system.port.outcome = .pending
    // Each frame that comes ends the one before it.
    system.port.endsOnNext = true
    let slots = (0..<40).map { system.slots(Frames.ethernet(byteCount: $0 % 3 == 0 ? 900 : 60, seed: $0), pages: [pages[$0]], identifier: $0)[0] }
    system.queues[0].put(slots)
    system.turn()
    #expect(try system.queues[0].takeTransmitResponses().map(\.identifier) == (0..<39).map { UInt16($0) })
    system.port.endAll()
    system.turn(1)
    #expect(try system.queues[0].takeTransmitResponses().map(\.identifier) == [39])
    #expect(system.mappedForFrames == 0 && system.counters.transmittedFrames == 40)
    system.finish()
  }

  // MARK: To the guest

  private struct Delivered: Equatable {
    var outcomes: [String] = []
    var frames: [String] = []
    var counters = NetQueueCounters()
  }

  @Test(arguments: Seeds.chosen(part: 0, count: 12))
  func theSameIsDeliveredAsOneByOne(seed: UInt64) throws {
    #expect(try deliver(seed, inBatches: true) == deliver(seed, inBatches: false), "seed \(seed)")
  }

  @Test(arguments: Seeds.chosen(part: 1, count: 12))
  func theSameIsDeliveredToPagesThatAreKept(seed: UInt64) throws {
    #expect(try deliver(seed, inBatches: true, keeps: true) == deliver(seed, inBatches: false, keeps: true), "seed \(seed)")
  }

  /// Offers what the seed says to a guest that has posted pages, good and bad ones, or too few.
  /// With `keeps`, most of the good ones stay mapped.
  private func deliver(_ seed: UInt64, inBatches: Bool, keeps: Bool = false) throws -> Delivered {
    var random = SeededGenerator(seed: seed)
    let system = try VifSystem(
      control: true, acceptance: NetAcceptance(capabilities: [.scatterGather, .checksumV4], multicastControl: seed % 4 == 3), arenaPageCount: 700)
    let frames = (0..<FrameBatch.capacity).map { Frame.scratch(index: $0, byteCount: 8192) }
    let batch = FrameBatch(of: FixedObjects(count: frames.count) { frames[$0] })
    var delivered = Delivered()
    for round in 0..<40 {
      let posted = min(system.queues[0].freeReceiveCount, round % 5 == 4 ? 2 : Int.random(in: 0...50, using: &random))
      if system.arena.freePageCount > posted + 1 {
        let pages = system.newPages(posted)
        if keeps { try system.keep(pages.prefix(posted * 3 / 4), readOnly: false) }
        system.queues[0].post(
          pages.map { page in
            (page, Int.random(in: 0..<25, using: &random) == 0 ? GrantReference(rawValue: 0xffff) : system.arena.grant(page: page))
          })
      }
      system.turn(1)
      let count = Int.random(in: 1...FrameBatch.capacity, using: &random)
      for frame in frames[..<count] { #expect(frame.fill(Self.received(frame, &random))) }
      batch.fill(count) { Int32($0) }
      let start = Int.random(in: 0..<count, using: &random)
      let client = try #require(system.port.client)
      if inBatches {
        let done = client.receive(batch, start..<count, queue: 0)
        delivered.outcomes += (start..<count).map { "\(batch.outcome($0))" }
        #expect(done == (start..<count).count { batch.outcome($0) == .done })
        #expect((0..<start).allSatisfy { batch.outcome($0) == .done })
      } else {
        for number in start..<count {
          if case .delivered = client.receive(frames[number], queue: 0) { delivered.outcomes.append("done") } else { delivered.outcomes.append("dropped") }
        }
      }
      client.endOfReceiveBatch()
      delivered.frames += try system.queues[0].takeFrames().map { "\($0.bytes) \($0.statuses) \($0.offsets) \($0.flags.rawValue)" }
      #expect(system.mappedForFrames == system.plane?.queues[0].kept.count)
    }
    delivered.counters = system.counters
    #expect(delivered.frames.count > 50 && delivered.counters.receiveDrops.grant > 0)
    system.finish()
    return delivered
  }

  private static func received(_ frame: Frame, _ random: inout SeededGenerator) -> [UInt8] {
    switch Int.random(in: 0..<14, using: &random) {
    case 0: Frames.ethernet(byteCount: 80, to: [1, 0, 0x5e, 0, 0, 9])
    case 1: Frames.ethernet(byteCount: Int.random(in: 2000...6000, using: &random), to: Frames.guest)
    default: Frames.ethernet(byteCount: Int.random(in: 14...1600, using: &random), to: Frames.guest, seed: Int.random(in: 0..<4096, using: &random))
    }
  }
}
