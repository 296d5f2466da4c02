@testable import NetFront
import NetInterface
import NetPackets
import Testing
import XenInterface

@Suite struct FrontReceiveTests {
  @Test(arguments: [14, 60, 255, 256, 257, 1514, 4096, 4097, 9000, 65_535])
  func aFrameArrivesAsItWasCopied(byteCount: Int) throws {
    let system = try FrontSystem()
    #expect(system.back.postedCount == 256)
    let bytes = pattern(byteCount)
    try system.back.deliver(bytes)
    system.turn()
    #expect(system.client.received == [bytes] && system.client.batchCount == 1)
    #expect(system.back.postedCount == 256, "every page is posted again")
    system.finish()
  }

  @Test func thousandsOfFramesGoThroughTheSamePages() throws {
    let system = try FrontSystem()
    for round in 0..<3000 {
      let bytes = pattern(14 + round * 37 % 9000)
      try system.back.deliver(bytes)
      system.turn(1)
      #expect(system.client.received.last == bytes)
      system.client.received = []
    }
    #expect(system.back.postedCount == 256)
    system.finish()
  }

  @Test func whatIsLeftToDoIsFound() throws {
    let system = try FrontSystem()
    var offload = FrameOffload()
    offload.needsChecksum = true
    offload.segmentation = .tcpv4
    offload.segmentByteCount = 1448
    var bytes: [UInt8] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
    bytes += [0, 80, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 16, 0, 0, 0, 0, 0, 0] + pattern(9000)
    try system.back.deliver(bytes, offload: offload)
    system.turn()
    let found = try #require(system.client.offloads.first)
    #expect(found.needsChecksum && found.segmentation == .tcpv4 && found.segmentByteCount == 1448)
    #expect(found.checksumStart == 34 && found.checksumOffset == 16)
    system.finish()
  }

  @Test func ofFramesThatComeTogetherEachIsTakenHeldOrDropped() throws {
    let system = try FrontSystem()
    system.client.outcomes = [.taken, .held, .dropped]
    let frames = (0..<90).map { pattern($0 % 10 == 9 ? 5000 : $0 % 4 == 0 ? 900 : 60 + $0) }
    for frame in frames { try system.back.deliver(frame) }
    system.turn()
    #expect(system.client.received == frames)
    #expect(system.plane.counters.receivedFrames == 90 && system.plane.counters.receiveDrops == 30)
    #expect(system.plane.counters.receivedBytes == UInt64(frames.reduce(0) { $0 + $1.count }))
    #expect(system.client.held.count == 30 && system.back.postedCount == 256)
    for (number, frame) in system.client.held.enumerated() { #expect(frame.bytes == frames[3 * number + 1], "as it was, whatever came after it") }
    system.client.outcomes = [.taken]
    for frame in system.client.held { system.plane.giveBack(frame) }
    system.finish()
  }

  @Test func aClientThatHoldsAllFramesGetsNoMoreOfThem() throws {
    let system = try FrontSystem { $0.receivePageCount = 256 }
    system.client.outcome = .held
    for number in 0..<3 * 90 {
      // Small ones: their pages are posted again at once.
      try system.back.deliver(pattern(60 + number % 7))
      system.turn(1)
    }
    #expect(system.client.held.count == 256)
    for frame in system.client.held { system.plane.giveBack(frame) }
    system.client.outcome = .taken
    system.turn()
    #expect(system.client.received.count == 270)
    system.finish()
  }

  @Test func aHeldFrameKeepsItsPages() throws {
    let system = try FrontSystem { $0.receivePageCount = 257 }
    system.client.outcome = .held
    try system.back.deliver(pattern(4096))
    try system.back.deliver(pattern(100))
    system.turn()
    #expect(system.client.held.count == 2)
    #expect(system.back.postedCount == 256, "one page is held; the small frame is in its head")
    try system.back.deliver(pattern(4096))
    system.turn()
    #expect(system.back.postedCount == 255)
    // The connection ends only when nobody looks at its pages any more.
    var isDone = false
    system.back.unmap()
    system.plane.disconnect { _ in isDone = true }
    system.turn()
    #expect(!isDone)
    for frame in system.client.held { system.plane.giveBack(frame) }
    system.turn(5)
    #expect(isDone)
    system.finish()
  }

  @Test func afterABackEndsDeathAnotherOneIsUsed() throws {
    let system = try FrontSystem()
    system.send(pattern(64))
    system.back.unmap()
    #expect(system.plane.backendVanished("dead"))
    #expect(system.client.links == [true, false] && system.send(pattern(64)) == .refused)
    system.disconnect()
    try system.connect()
    #expect(system.client.links == [true, false, true])
    try system.back.deliver(pattern(60))
    system.turn()
    #expect(system.send(pattern(64)) == .sent && system.client.received.count == 1)
    system.finish()
  }

  // MARK: A back-end that lies

  /// A bad chain is dropped and counted, and every page comes back (netfront's `xennet_get_responses`).
  @Test(arguments: [
    [.made(status: -1)], [.made(status: 60, offset: 4090)], [.made(status: 60, offset: 65_535)], [.made(status: .max)], [.made(status: 0)],
    [.made(status: 100, flags: .moreData)], [.made(status: 100, flags: .extraInfo)],
    Array(repeating: .made(status: 100, flags: .moreData), count: 30), Array(repeating: .made(status: 100, flags: .moreData), count: 256),
    [.made(status: 100, flags: .segmentationPrefix)], [.made(status: 100, flags: [.extraInfo, .moreData]), .made(status: 0)],
    Array(repeating: .made(status: 4096, flags: .moreData), count: 18) + [.made(status: 4096)],
  ] as [[NetifReceiveResponse]])
  func aBadChainIsDroppedAndCounted(_ responses: [NetifReceiveResponse]) throws {
    let system = try FrontSystem()
    try system.back.put(responses)
    system.turn()
    #expect(system.client.received.isEmpty && system.plane.counters.receiveRejections >= 1 && system.faults.isEmpty)
    #expect(system.back.postedCount == 256)
    try system.back.deliver(pattern(100))
    system.turn()
    #expect(system.client.received == [pattern(100)], "the next frame is whole")
    system.finish()
  }

  @Test func identifiersAreNotBelieved() throws {
    let system = try FrontSystem()
    try system.back.deliver(pattern(9000)) { responses in
      for index in responses.indices { responses[index].identifier = 0xffff }
    }
    system.turn()
    #expect(system.client.received == [pattern(9000)])
    system.finish()
  }

  @Test func aChecksumThatHasNoPlaceIsRefused() throws {
    let system = try FrontSystem()
    var offload = FrameOffload()
    offload.needsChecksum = true
    try system.back.deliver(pattern(100), offload: offload)
    system.turn()
    #expect(system.client.received.isEmpty && system.plane.counters.receiveRejections == 1)
    system.finish()
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func randomResponsesNeverTrapAndLoseNoPage(seed: UInt64) throws {
    let system = try FrontSystem()
    var state = seed
    func random(_ limit: UInt64) -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state % limit
    }
    for _ in 0..<400 {
      let responses = (0..<Int(1 + random(40))).map { _ in
        NetifReceiveResponse.made(
          status: Int16(truncatingIfNeeded: Int(random(5000)) - 200), offset: UInt16(random(20) == 0 ? random(65_536) : random(200)),
          flags: NetifReceiveFlags(rawValue: UInt16(random(3) == 0 ? random(65_536) : random(16))))
      }
      try system.back.put(responses)
      system.turn(2)
      #expect(system.back.postedCount == 256 && system.faults.isEmpty, "seed \(seed)")
    }
    system.finish()
  }
}
