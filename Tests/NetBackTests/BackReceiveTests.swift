@testable import NetBack
import NetEngine
import NetInterface
import NetPackets
import SharedMemory
import Testing
import XenInterface
import XenPlatform

/// What a port delivers, into the pages that the guest has posted.
@Suite struct BackReceiveTests {
  private func frame(_ byteCount: Int, seed: Int = 0) -> [UInt8] { Frames.ethernet(byteCount: byteCount, to: Frames.guest, seed: seed) }

  @Test(arguments: [14, 60, 256, 257, 4096, 4097, 9014, 65535] as [Int])
  func aFrameIsWholeInThePostedPages(byteCount: Int) throws {
    let system = try VifSystem()
    system.queues[0].post(system.newPages(20))
    system.turn()
    #expect(system.port.deliver(frame(byteCount)) == .delivered)
    let received = try #require(try system.queues[0].takeFrames().first)
    #expect(received.bytes == frame(byteCount))
    #expect(received.statuses.count == (byteCount + 4095) / 4096)
    #expect(received.flags.contains(.moreData) == (byteCount > 4096))
    #expect(received.extras.isEmpty)
    #expect(system.counters.receivedBytes == UInt64(byteCount))
    #expect(system.mappedForFrames == 0)
    system.finish()
  }

  @Test func offloadsAndHeadroomAreSaidInTheExtras() throws {
    let system = try VifSystem(acceptance: NetAcceptance(capabilities: .all, headroomByteCount: 256))
    system.queues[0].post(system.newPages(20))
    let large = Frames.ipv4(protocol: 6, payload: Frames.tcp(payload: 8000))
    system.port.deliver(large, offload: Frames.offload(.tcpv4, size: 1448))
    let received = try #require(try system.queues[0].takeFrames().first)
    #expect(received.bytes == large)
    #expect(received.offsets == [256, 256, 256], "data begins where its response says; see decision 18")
    #expect(received.statuses == [3840, 3840, large.count - 7680], "a status is the piece's length, without the headroom")
    #expect(received.flags.isSuperset(of: [.checksumBlank, .dataValidated, .extraInfo, .moreData]))
    #expect(received.extras.map(\.type) == [NetifExtraType.segmentation.rawValue, NetifExtraType.headroom.rawValue])
    system.plane?.setHeadroom(0)
    system.port.deliver(frame(100))
    let plain = try #require(try system.queues[0].takeFrames().first)
    #expect(plain.bytes == frame(100) && plain.extras.isEmpty)
    #expect(plain.offsets.count == 1 && plain.offsets[0] % 64 == 0 && plain.offsets[0] <= 4096 - 100, "somewhere in its page, at a cache line")
    system.finish()
  }

  @Test func whatTheGuestDoesNotTakeIsDroppedAndCounted() throws {
    let large4 = (Frames.ipv4(protocol: 6, payload: Frames.tcp(payload: 5000)), Frames.offload(.tcpv4, size: 1448))
    let large6 = (Frames.ipv6(protocol: 6, payload: Frames.tcp(payload: 5000)), Frames.offload(.tcpv6, size: 1448))
    let blank4 = (Frames.udp4, Frames.offload())
    let blank6 = (Frames.udp6, Frames.offload())
    let long = (frame(5000), FrameOffload())
    let plain = (frame(1500), FrameOffload())
    let all = [large4, large6, blank4, blank6, long, plain]
    for (capabilities, taken) in [
      ([], [5]), ([.scatterGather], [4, 5]), ([.checksumV4], [2, 5]), ([.checksumV6], [3, 5]), ([.checksumV4, .checksumV6], [2, 3, 5]),
      ([.scatterGather, .checksumV4, .segmentationV4], [0, 2, 4, 5]), ([.scatterGather, .checksumV6, .segmentationV6], [1, 3, 4, 5]),
      (.all, [0, 1, 2, 3, 4, 5]),
    ] as [(FrameCapabilities, [Int])] {
      let system = try VifSystem(acceptance: NetAcceptance(capabilities: capabilities))
      #expect(system.port.accepting == capabilities)
      system.queues[0].post(system.newPages(40))
      for (index, (bytes, offload)) in all.enumerated() {
        #expect(system.port.deliver(bytes, offload: offload) == (taken.contains(index) ? .delivered : .dropped), "frame \(index), \(capabilities)")
      }
      #expect(try system.queues[0].takeFrames().map(\.bytes) == taken.map { all[$0].0 })
      #expect(system.counters.receiveDrops.unacceptable == UInt64(all.count - taken.count))
      system.finish()
    }
  }

  @Test func theFilterLetsThroughWhatTheGuestAskedFor() throws {
    let system = try VifSystem(acceptance: NetAcceptance(multicastControl: true))
    system.queues[0].post(system.newPages(200))
    let page = system.newPage()
    func group(_ number: Int) -> [UInt8] { [1, 0, 0x5e, 0, 0, UInt8(number)] }
    func message(_ type: NetifExtraType, _ number: Int) throws -> [NetifStatus?] {
      try system.statuses(system.slots([], pieces: [0], pages: [page], extras: [Frames.multicast(type, group(number))]))
    }
    func passes(_ address: [UInt8]) -> Bool { system.port.deliver(Frames.ethernet(byteCount: 60, to: address)) == .delivered }
    #expect(!passes(group(1)))
    #expect(passes([UInt8](repeating: 255, count: 6)), "broadcast")
    #expect(passes(Frames.guest))
    for number in 1...64 { #expect(try message(.multicastAdd, number) == [.okay, .null]) }
    #expect(try message(.multicastAdd, 64) == [.okay, .null], "there already")
    #expect(try message(.multicastAdd, 65) == [.error, .null], "64 at most")
    #expect(passes(group(1)) && passes(group(64)) && !passes(group(65)))
    #expect(try message(.multicastRemove, 1) == [.okay, .null])
    #expect(!passes(group(1)))
    #expect(try message(.multicastAdd, 65) == [.okay, .null])
    #expect(passes(group(65)))
    #expect(system.counters.receiveDrops.filtered == 3)
    #expect(system.port.frameCount == 0, "messages are no frames")
    system.plane?.setMulticastControl(false)
    #expect(passes(group(200)))
    system.finish()
  }

  @Test func framesWaitForBuffersInOrder() throws {
    let system = try VifSystem()
    for number in 0..<50 { #expect(system.port.deliver(frame(1000 + number * 100, seed: number)) == .delivered) }
    #expect(system.plane?.queues[0].backlog.value.count == 50)
    var frames: [ReceivedFrame] = []
    for count in [1, 2, 3, 50, 30] {
      system.queues[0].post(system.newPages(count))
      system.turn()
      frames += try system.queues[0].takeFrames()
    }
    #expect(frames.map(\.bytes) == (0..<50).map { frame(1000 + $0 * 100, seed: $0) })
    system.finish()
  }

  @Test func whatWaitsIsBounded() throws {
    // XSA-392: a guest that posts few buffers while the host sends at full rate.
    let system = try VifSystem()
    var accepted = 0
    for number in 0..<3000 where system.port.deliver(frame(60, seed: number)) == .delivered { accepted += 1 }
    #expect(accepted == 1024, "frames")
    #expect(system.counters.receiveDrops.noRoom == 3000 - 1024)
    system.finish()

    let other = try VifSystem()
    accepted = 0
    for _ in 0..<100 where other.port.deliver(frame(65535)) == .delivered { accepted += 1 }
    #expect(accepted == 128 * 4096 / 65535, "bytes")
    for round in 0..<200 {
      other.queues[0].post(other.newPages(1))
      other.turn(1)
      for _ in 0..<20 { other.port.deliver(frame(9000, seed: round)) }
      if round % 20 == 0 { _ = try other.queues[0].takeFrames() }
      #expect((other.plane?.queues[0].backlog.value.count ?? .max) <= 128 * 4096 / 9000 + 1)
    }
    other.finish()
  }

  @Test func whatWaitsTooLongIsDropped() throws {
    let system = try VifSystem()
    for number in 0..<5 {
      system.port.deliver(frame(1000, seed: number))
      system.advance(nanoseconds: 1_000_000_000)
      system.turn(1)
    }
    system.advance(nanoseconds: 6_500_000_000)
    system.turn(1)
    #expect(system.counters.receiveDrops.expired == 2, "those that waited for more than ten seconds")
    system.queues[0].post(system.newPages(10))
    system.turn(1)
    #expect(try system.queues[0].takeFrames().map(\.bytes) == (2..<5).map { frame(1000, seed: $0) })
    system.finish()
  }

  @Test func aGuestThatStopsPostingLosesItsLink() throws {
    let system = try VifSystem()
    system.port.deliver(frame(100))
    system.advance(nanoseconds: 59_000_000_000)
    system.turn(1)
    #expect(system.port.stalls.isEmpty)
    system.advance(nanoseconds: 2_000_000_000)
    system.turn(1)
    #expect(system.port.stalls == [true])
    system.queues[0].post(system.newPages(2))
    system.turn(1)
    #expect(system.port.stalls == [true, false])
    system.finish()

    // One that gives no notice cannot be told from one that has nothing to post.
    let silent = try VifSystem(acceptance: NetAcceptance(capabilities: .all, receiveNotification: false))
    silent.port.deliver(frame(100))
    silent.advance(nanoseconds: 300_000_000_000)
    silent.turn(1)
    #expect(silent.port.stalls.isEmpty)
    #expect(silent.counters.receiveDrops.expired == 1)
    silent.finish()
  }

  @Test func aPortThatKeepsItsFramesIsToldWhenToGoOn() throws {
    let port = RecordingPort()
    port.keepsFrames = true
    let system = try VifSystem(port: port)
    #expect(port.deliver(frame(9000)) == .full)
    system.queues[0].post(system.newPages(2))
    system.turn()
    #expect(port.readyQueues.isEmpty, "too few for the frame")
    system.queues[0].post(system.newPages(1))
    system.turn()
    #expect(port.readyQueues == [0])
    #expect(port.deliver(frame(9000)) == .delivered)
    #expect(system.plane?.queues[0].backlog.value.count == 0)
    system.finish()
  }

  @Test func aFrameThatWaitsIsHeldAgainstWhatIsTakenThen() throws {
    let system = try VifSystem(acceptance: NetAcceptance(capabilities: []))
    system.port.deliver(frame(4000))
    system.plane?.setHeadroom(256)
    system.queues[0].post(system.newPages(4))
    system.turn()
    #expect(try system.queues[0].takeFrames().isEmpty, "two pages with the headroom, and the guest takes one")
    #expect(system.counters.receiveDrops.unacceptable == 1)
    system.finish()
  }
}
