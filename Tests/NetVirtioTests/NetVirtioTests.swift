import EventLoop
import NetEngine
import NetPackets
import NetVirtio
import SharedMemory
import Testing
import VhostUser
import VirtioInterface
import VirtioRing

/// Frames between a guest's queues and a port, driven from the guest's side.
@Suite struct NetVirtioTests {
  private func withInterface(
    _ features: VirtioNetFeatures = GuestInterface.allFeatures, format: DeviceQueue.Format = .split,
    _ body: (GuestInterface, RecordingPort) throws -> Void
  ) throws {
    let loop = try EventLoop(name: "test", configuration: EventLoop.Configuration())
    let port = RecordingPort()
    let interface = try GuestInterface(port, on: loop, features: features, format: format)
    try body(interface, port)
    interface.close()
    loop.shutDown()
  }

  /// An Ethernet frame with a UDP packet over IPv4, and a payload that tells its bytes apart.
  private func frame(payload count: Int) -> [UInt8] {
    var bytes: [UInt8] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]
    let total = 28 + count
    bytes += [0x45, 0, UInt8(total >> 8), UInt8(total & 255), 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
    bytes += [0x10, 0, 0x20, 0, UInt8((8 + count) >> 8), UInt8((8 + count) & 255), 0, 0]
    return bytes + (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 / 251) }
  }

  // MARK: From the guest

  @Test(arguments: [DeviceQueue.Format.split, .packed])
  func aFrameArrivesWhereverItIsCut(format: DeviceQueue.Format) throws {
    try withInterface(format: format) { interface, port in
      let frame = frame(payload: 400)
      let cuts = [[], [12], [1], [5, 7], [10, 4, 1], [12, 14, 20, 8], [12, 255], [12, 256], [12, 257], [13, 100, 100, 100]]
      for cuts in cuts {
        try interface.send(frame, cuts: cuts)
        interface.settle()
      }
      #expect(port.taken.map(\.bytes) == cuts.map { _ in frame })
      try interface.transmit.collect()
      #expect(interface.transmit.used.count == cuts.count && interface.transmit.used.allSatisfy { $0.writtenByteCount == 0 })
    }
  }

  @Test func whatIsLeftToDoIsFoundInTheFramesOwnHeaders() throws {
    try withInterface { interface, port in
      var header = VirtioNetHeader()
      header.flags = VirtioNetHeaderFlags.needsChecksum.rawValue
      // A lie: the checksum would go somewhere else.
      header.checksumStart = 1000
      header.checksumOffset = 2000
      try interface.send(frame(payload: 100), header: header)
      interface.settle()
      let offload = try #require(port.taken.first?.offload)
      #expect(offload.needsChecksum && offload.checksumStart == 34 && offload.checksumOffset == 6)
    }
  }

  @Test func framesInOrderAndAnnouncementsAreOffered() throws {
    try withInterface { interface, _ in
      #expect(interface.device.features.contains(.inOrder))
      #expect(VirtioNetFeatures(rawValue: interface.device.features.rawValue).contains(.guestAnnounce))
    }
  }

  @Test func framesThatBreakARuleAreAnsweredAndCounted() throws {
    try withInterface { interface, port in
      var segments = VirtioNetHeader()
      segments.segmentation = VirtioNetSegmentation.tcpIPv4.rawValue
      var unknown = VirtioNetHeader()
      unknown.segmentation = 0x33
      var udp = VirtioNetHeader()
      udp.segmentation = VirtioNetSegmentation.tcpIPv4.rawValue
      udp.segmentByteCount = 100
      udp.flags = VirtioNetHeaderFlags.needsChecksum.rawValue
      var noHeaders = VirtioNetHeader()
      noHeaders.flags = VirtioNetHeaderFlags.needsChecksum.rawValue
      // Size zero; a kind that does not exist; TCP segments of a UDP packet; a checksum in a frame without a packet.
      try interface.send(frame(payload: 100), header: segments)
      try interface.send(frame(payload: 100), header: unknown)
      try interface.send(frame(payload: 100), header: udp)
      try interface.send([UInt8](repeating: 1, count: 60), header: noHeaders)
      // Too short, and only a part of a header.
      try interface.send([UInt8](repeating: 1, count: 13))
      try interface.send([], cuts: [4])
      interface.settle()
      #expect(port.taken == [])
      try interface.transmit.collect()
      #expect(interface.transmit.used.count == 6, "each is given back")
      #expect(interface.device.status.counters.transmitErrors == 6)
      // And the next one passes.
      try interface.send(frame(payload: 10))
      interface.settle()
      #expect(port.taken.count == 1)
    }
  }

  @Test func aFrameInMorePiecesThanThereCanBeIsDropped() throws {
    try withInterface { interface, port in
      try interface.send(frame(payload: 1000), cuts: [12, 256] + [Int](repeating: 20, count: 25))
      try interface.send(frame(payload: 1000), cuts: [12, 256] + [Int](repeating: 20, count: 15))
      interface.settle()
      #expect(port.taken.count == 1)
      #expect(interface.device.status.counters.transmitErrors == 1)
    }
  }

  // MARK: To the guest

  @Test(arguments: [[2000], [12, 2000], [5, 7, 2000], [100, 100, 2000]])
  func aFrameFillsTheBuffersOfAChain(lengths: [Int]) throws {
    try withInterface { interface, port in
      try interface.post(lengths)
      let frame = frame(payload: 700)
      #expect(port.deliver(frame) == .delivered)
      let received = try interface.received()
      #expect(received.map(\.frame) == [frame])
      #expect(received.first?.header.bufferCount == 1)
    }
  }

  @Test func aLargeFrameIsMergedFromSeveralChains() throws {
    try withInterface { interface, port in
      for _ in 0..<40 { try interface.post([1500]) }
      var offload = FrameOffload()
      offload.needsChecksum = true
      offload.segmentation = .tcpv4
      offload.segmentByteCount = 1448
      var large = frame(payload: 20_000)
      large[23] = 6  // TCP
      large[34 + 12] = 0x50
      #expect(port.deliver(large, offload: offload) == .delivered)
      #expect(port.deliver(frame(payload: 5)) == .delivered)
      let received = try interface.received()
      #expect(received.map(\.frame) == [large, frame(payload: 5)])
      let header = try #require(received.first?.header)
      #expect(header.bufferCount == 14)
      #expect(header.segmentation == VirtioNetSegmentation.tcpIPv4.rawValue && header.segmentByteCount == 1448)
      #expect(header.flags == VirtioNetHeaderFlags.needsChecksum.rawValue && header.checksumStart == 34 && header.checksumOffset == 16)
      #expect(header.headerByteCount == 54)
    }
  }

  @Test func buffersThatAreTooFewWaitForMore() throws {
    try withInterface { interface, port in
      let frame = frame(payload: 3000)
      for _ in 0..<2 { try interface.post([1000]) }
      #expect(port.deliver(frame) == .full)
      #expect(try interface.received() == [])
      for _ in 0..<2 { try interface.post([1000]) }
      #expect(port.deliver(frame) == .delivered)
      #expect(try interface.received().map(\.frame) == [frame])
      #expect(interface.device.status.counters.noRoom == 1)
    }
  }

  @Test func withoutMergingAFrameHasToFitOneChain() throws {
    try withInterface([.guestChecksum]) { interface, port in
      try interface.post([12, 1000])
      try interface.post([12, 2000])
      #expect(port.deliver(frame(payload: 1500)) == .dropped)
      #expect(port.deliver(frame(payload: 500)) == .delivered)
      #expect(try interface.received().map(\.frame) == [frame(payload: 500)])
      #expect(interface.device.status.counters.unacceptable == 1)
    }
  }

  @Test func aGuestThatTakesNoOffloadsIsGivenNone() throws {
    try withInterface([.mergeableReceiveBuffers]) { interface, port in
      try interface.post([4000])
      var offload = FrameOffload()
      offload.needsChecksum = true
      #expect(port.deliver(frame(payload: 100), offload: offload) == .dropped)
      #expect(port.deliver(frame(payload: 100)) == .delivered)
    }
  }

  @Test(arguments: [DeviceQueue.Format.split, .packed])
  func aQueueThatStopsGivesBackWhatItHolds(format: DeviceQueue.Format) throws {
    try withInterface(format: format) { interface, port in
      let before = interface.receive.vhost.ring.value.base
      for _ in 0..<3 { try interface.post([500]) }
      // Takes the three chains, and finds them too few.
      #expect(port.deliver(frame(payload: 2000)) == .full)
      #expect(interface.receive.vhost.ring.value.base != before)
      interface.stop(interface.receive)
      #expect(interface.receive.vhost.ring.value.base == before, "they come out again for whoever goes on")
      #expect(interface.receive.vhost.ring.value.unansweredCount == 0)
    }
  }

  @Test func aBrokenQueueLeavesTheOtherAlone() throws {
    try withInterface { interface, port in
      // A chain with nothing but a buffer to read on the queue for received frames is given back empty.
      _ = interface.receive.send([.init(guestAddress: GuestInterface.guestAddress + 70_000, byteCount: 100)])
      try interface.post([2000])
      #expect(port.deliver(frame(payload: 100)) == .delivered)
      // A buffer outside of the guest's memory breaks the queue that it is on.
      _ = interface.receive.send([.init(guestAddress: 0x7000_0000, byteCount: 100, isWritable: true)])
      #expect(port.deliver(frame(payload: 100)) == .dropped)
      #expect(interface.receive.vhost.fault == .outsideMemory(guestAddress: 0x7000_0000, byteCount: 100))
      try interface.send(frame(payload: 100))
      interface.settle()
      #expect(port.taken.count == 1)
      #expect(interface.transmit.vhost.fault == nil)
    }
  }

  // MARK: Guest to guest

  @Test func twoGuestsAtASwitchReachEachOther() throws {
    let loop = try EventLoop(name: "test", configuration: EventLoop.Configuration())
    let lan = try VirtualSwitch(name: "lan")
    let left = try GuestInterface(lan.makePort(SwitchPortConfiguration(vlan: nil, address: MACAddress("02:00:00:00:00:01"))), on: loop)
    // Takes no offloads: what the other one leaves to do is done for it.
    let right = try GuestInterface(
      lan.makePort(SwitchPortConfiguration(vlan: nil, address: MACAddress("02:00:00:00:00:02"))), on: loop, features: [.mergeableReceiveBuffers])
    for _ in 0..<8 { try right.post([2000]) }
    var header = VirtioNetHeader()
    header.flags = VirtioNetHeaderFlags.needsChecksum.rawValue
    var sent = frame(payload: 1200)
    try left.send(sent, header: header)
    left.settle()
    let received = try right.received()
    #expect(received.count == 1)
    #expect(received.first?.header.flags == VirtioNetHeaderFlags.dataValid.rawValue)
    // Whole but for the checksum, which was completed on the way.
    let frame = try #require(received.first?.frame)
    #expect(frame[40..<42] != sent[40..<42])
    sent.replaceSubrange(40..<42, with: frame[40..<42])
    #expect(frame == sent)
    left.close()
    right.close()
    loop.shutDown()
  }
}
