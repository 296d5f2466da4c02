@testable import NetBack
import NetEngine
import NetInterface
import NetPackets
import Testing
import XenInterface
import XenPlatform

/// What a guest sends, to the port and back as answers.
@Suite struct BackTransmitTests {
  @Test(arguments: [14, 60, 64, 255, 256, 257, 1514, 4096] as [Int])
  func aFrameInOnePageReachesThePort(byteCount: Int) throws {
    let system = try VifSystem()
    let frame = Frames.ethernet(byteCount: byteCount)
    let slots = system.slots(frame, flags: .dataValidated, identifier: 40)
    let answers = try system.perform(slots)
    #expect(answers.map(\.identifier) == [40])
    #expect(answers.map(\.status) == [NetifStatus.okay.rawValue])
    #expect(system.port.frames.map(\.bytes) == [frame])
    #expect(system.port.frames.first?.headByteCount == min(256, byteCount))
    #expect(system.port.frames.first?.offload.isValidated == true)
    #expect(system.mappedForFrames == 0)
    #expect(system.counters.transmittedBytes == UInt64(byteCount))
    system.finish()
  }

  @Test(arguments: [[4096, 4096], [1, 4096], [14, 1], [100, 100, 100], [200, 0, 200], [0, 300], [256, 1000], [64, 192, 3000]] as [[Int]])
  func aFrameInSeveralPiecesIsWhole(pieces: [Int]) throws {
    let system = try VifSystem()
    let frame = Frames.ethernet(byteCount: pieces.reduce(0, +))
    #expect(try system.statuses(system.slots(frame, pieces: pieces)) == pieces.map { _ in .okay })
    #expect(system.port.frames.map(\.bytes) == [frame])
    system.finish()
  }

  @Test func theLargestFrameIsWhole() throws {
    let system = try VifSystem()
    let frame = Frames.ethernet(byteCount: 65535)
    #expect(try system.statuses(system.slots(frame)).count == 16)
    #expect(system.port.frames.map(\.bytes) == [frame])
    #expect(system.port.frames.first?.pieceCount == 16)
    system.finish()
  }

  @Test func blankChecksumsAreFoundInTheHeaders() throws {
    let system = try VifSystem()
    for (frame, start, offset) in [(Frames.tcp4, 34, 16), (Frames.udp4, 34, 6), (Frames.tcp6, 54, 16), (Frames.udp6, 54, 6)] {
      #expect(try system.statuses(system.slots(frame, pieces: [60, frame.count - 60], flags: .checksumBlank)) == [.okay, .okay])
      let offload = try #require(system.port.frames.last?.offload)
      #expect(offload.needsChecksum)
      #expect(offload.checksumStart == start)
      #expect(offload.checksumOffset == offset)
    }
    // Nothing that has a checksum: an error, and the port does not see it.
    #expect(try system.statuses(system.slots(Frames.ethernet(byteCount: 200), flags: .checksumBlank)) == [.error])
    #expect(system.port.frameCount == 4)
    #expect(system.counters.transmitErrors.headers == 1)
    system.finish()
  }

  @Test func largeFramesCarryHowTheyAreToBeCut() throws {
    let system = try VifSystem()
    for (type, frame, segmentation) in [
      (1, Frames.ipv4(protocol: 6, payload: Frames.tcp(payload: 9000)), FrameOffload.Segmentation.tcpv4),
      (2, Frames.ipv6(protocol: 6, payload: Frames.tcp(payload: 9000)), .tcpv6),
    ] as [(UInt8, [UInt8], FrameOffload.Segmentation)] {
      let slots = system.slots(frame, flags: .checksumBlank, extras: [Frames.segmentation(type)])
      #expect(try system.statuses(slots) == [.okay, .null, .okay, .okay])
      #expect(system.port.frames.last?.bytes == frame)
      #expect(system.port.frames.last?.offload.segmentation == segmentation)
      #expect(system.port.frames.last?.offload.segmentByteCount == 1448)
    }
    // Of another protocol than the extra says.
    #expect(try system.statuses(system.slots(Frames.tcp6, flags: .checksumBlank, extras: [Frames.segmentation(1)])) == [.error, .null])
    #expect(try system.statuses(system.slots(Frames.udp4, flags: .checksumBlank, extras: [Frames.segmentation(1)])) == [.error, .null])
    system.finish()
  }

  @Test func aLargeFrameWithAWholeChecksumGetsThePseudoHeaders() throws {
    let system = try VifSystem()
    var frame = Frames.ipv4(protocol: 6, payload: Frames.tcp(payload: 100))
    frame[50] = 0xAA
    frame[51] = 0x55
    #expect(try system.statuses(system.slots(frame, extras: [Frames.segmentation(1)])) == [.okay, .null])
    var sum = 120 + 6 + 0x0a00 + 7 + 0x0a00 + 1
    sum = (sum & 0xffff) + sum >> 16
    let seen = try #require(system.port.frames.first)
    #expect(Array(seen.bytes[50..<52]) == [UInt8(sum >> 8), UInt8(sum & 255)])
    #expect(seen.offload.needsChecksum)
    system.finish()
  }

  @Test func extrasThatAreNotNeededAreSkipped() throws {
    let system = try VifSystem()
    let frame = Frames.tcp4
    for types in [[4], [5], [4, 5], [5, 4, 5]] as [[UInt8]] {
      let slots = system.slots(frame, pieces: [500, frame.count - 500], extras: types.map { Frames.other(type: $0) }, identifier: 9)
      let answers = try system.perform(slots)
      #expect(answers.map(\.status) == [0] + types.map { _ in 1 } + [0], "the first response, those of the extras, the others")
      #expect(answers.first?.identifier == 9)
      #expect(answers.last?.identifier == 10)
    }
    #expect(system.port.frames.allSatisfy { $0.bytes == frame })
    system.finish()
  }

  @Test func pendingFramesAreAnsweredInAnyOrder() throws {
    let system = try VifSystem()
    system.port.outcome = .pending
    for number in 0..<6 {
      system.queues[0].put(system.slots(Frames.ethernet(byteCount: 9000, seed: number), extras: [Frames.other(type: 4)], identifier: number * 10))
    }
    system.turn()
    #expect(system.port.pending.count == 6)
    #expect(system.mappedForFrames == 18)
    #expect(try system.queues[0].takeTransmitResponses().isEmpty)
    for (place, identifier) in [(3, 30), (0, 0), (3, 50), (1, 20)] as [(Int, UInt16)] {
      system.port.end(place, succeeded: identifier != 50)
      let answers = try system.responses(4)
      #expect(answers.map(\.identifier) == [identifier, 0, identifier + 1, identifier + 2])
      #expect(answers.map(\.status) == (identifier == 50 ? [-2, 1, -2, -2] : [0, 1, 0, 0]))
    }
    #expect(system.mappedForFrames == 6)
    #expect(system.counters.transmitDrops == 1)
    // What the guest wrote later does not matter to the frames' heads; their pages are mapped until the end.
    system.finish()
    #expect(system.port.pending.isEmpty)
  }

  @Test func whatThePortDropsIsAnsweredAsDropped() throws {
    let system = try VifSystem()
    system.port.outcome = .dropped
    #expect(try system.statuses(system.slots(Frames.ethernet(byteCount: 5000))) == [.dropped, .dropped])
    #expect(system.counters.transmitDrops == 1)
    #expect(system.mappedForFrames == 0)
    try system.expectAlive()
    system.finish()
  }

  @Test func aFullRingOfFramesGoesInBatches() throws {
    let system = try VifSystem()
    let page = system.newPage()
    for round in 0..<20 {
      for number in 0..<256 { system.queues[0].put(system.slots(Frames.ethernet(byteCount: 64), pages: [page], identifier: number)) }
      let answers = try system.responses(256)
      #expect(answers.map(\.identifier) == (0..<256).map { UInt16($0) }, "round \(round)")
    }
    #expect(system.port.frameCount == 20 * 256)
    #expect(system.port.batchCount >= 20 * 256 / NetBackPlane.budget)
    system.finish()
  }

  @Test(arguments: [false, true])
  func queuesAreServedSideBySide(split: Bool) throws {
    let system = try VifSystem(queueCount: 4, split: split)
    for queue in 0..<4 {
      #expect(try system.statuses(system.slots(Frames.ethernet(byteCount: 100, seed: queue)), on: queue) == [.okay])
      #expect(system.port.frames.last?.queue == queue)
      system.queues[queue].post(system.newPages(2))
      system.turn()
      #expect(system.port.deliver(Frames.ethernet(byteCount: 99, to: Frames.guest, seed: queue), queue: queue) == .delivered)
      #expect(try system.queues[queue].takeFrames().map(\.bytes) == [Frames.ethernet(byteCount: 99, to: Frames.guest, seed: queue)])
      system.turn()
      // Queue numbers of the port that the guest does not have are folded.
      system.port.deliver(Frames.ethernet(byteCount: 98, to: Frames.guest), queue: queue + 8)
      #expect(try system.queues[queue].takeFrames().count == 1)
    }
    let channels = try #require(system.plane?.queues.map { $0.channels.count })
    #expect(channels == [Int](repeating: split ? 2 : 1, count: 4))
    system.finish()
  }

  @Test func theRateHoldsForAllQueuesTogether() throws {
    // 10 MB a second; four queues that always have more. After the first burst, time passes in uneven steps.
    let system = try VifSystem(queueCount: 4, rate: RateLimit(byteCount: 1_000_000, microseconds: 100_000))
    system.port.isRecording = false
    let pages = system.newPages(4)
    let sizes = [1514, 60, 9000, 777]
    var elapsed: UInt64 = 0
    var start = 0
    func step(_ nanoseconds: UInt64) throws {
      for queue in 0..<4 {
        _ = try system.queues[queue].takeTransmitResponses()
        let size = sizes[queue] > 4096 ? 4096 : sizes[queue]
        while system.queues[queue].freeTransmitCount > 128 {
          system.queues[queue].put(system.slots(Frames.ethernet(byteCount: size), pages: [pages[queue]]))
        }
      }
      system.advance(nanoseconds: nanoseconds)
      elapsed += nanoseconds
      system.turn(2)
    }
    while system.port.byteCount < 1_000_000 { try step(0) }
    start = system.port.byteCount
    elapsed = 0
    for round in 0..<1500 { try step(UInt64(300_000 + round * 7919 % 500_000)) }
    let expected = Double(elapsed) / 1e9 * 10_000_000
    let sent = Double(system.port.byteCount - start)
    #expect(abs(sent / expected - 1) < 0.01, "\(sent) bytes instead of \(expected)")
    let counts = try #require(system.plane?.queues.map { $0.counters.transmittedFrames })
    #expect(counts.allSatisfy { $0 > 100 }, "each queue has its turn: \(counts)")
    system.finish()
  }

  @Test func anotherRateIsInForceAtOnce() throws {
    let system = try VifSystem(rate: RateLimit(byteCount: 1, microseconds: 1_000_000_000))
    let page = system.newPage()
    for _ in 0..<40 { system.queues[0].put(system.slots(Frames.ethernet(byteCount: 4096), pages: [page])) }
    system.turn()
    #expect(system.port.frameCount == 32, "one burst of 128 KiB")
    system.plane?.setRate(nil)
    system.turn()
    #expect(system.port.frameCount == 40)
    system.finish()
  }
}
