import EventLoop
import NetEngine
import NetPackets
import NetVirtio
import SharedMemory
import Testing
import VhostUser
import VirtioInterface
import VirtioRing

/// Several UDP datagrams in one frame (`VIRTIO_NET_HDR_GSO_UDP_L4`), both ways, and between guests at a switch.
@Suite struct DatagramTests {
  private static let without: VirtioNetFeatures = [.mergeableReceiveBuffers, .checksum, .guestChecksum]

  private func withInterface(
    _ features: VirtioNetFeatures = GuestInterface.allFeatures, _ body: (GuestInterface, RecordingPort) throws -> Void
  ) throws {
    let loop = try EventLoop(name: "test", configuration: EventLoop.Configuration())
    let port = RecordingPort()
    let interface = try GuestInterface(port, on: loop, features: features)
    try body(interface, port)
    interface.close()
    loop.shutDown()
  }

  /// UDP over IPv4 to 10.0.0.2, or TCP for what is wrong, from 02:00:00:00:00:01 to ...:02.
  private func frame(payload count: Int, isUDP: Bool = true) -> [UInt8] {
    var bytes: [UInt8] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]
    let total = (isUDP ? 28 : 40) + count
    bytes += [0x45, 0, UInt8(total >> 8), UInt8(total & 255), 0, 0, 0, 0, 64, isUDP ? 17 : 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
    bytes += isUDP ? [0x10, 0, 0x20, 0, UInt8((8 + count) >> 8), UInt8((8 + count) & 255), 0, 0] : [UInt8](repeating: 0x50, count: 20)
    return bytes + (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 / 251) }
  }

  private func header(size: UInt16 = 1000, kind: UInt8 = VirtioNetSegmentation.udpSegments.rawValue, needsChecksum: Bool = true) -> VirtioNetHeader {
    var header = VirtioNetHeader()
    header.segmentation = kind
    header.segmentByteCount = size
    if needsChecksum { header.flags = VirtioNetHeaderFlags.needsChecksum.rawValue }
    return header
  }

  @Test func datagramsAreOfferedWhereThePortTakesThem() throws {
    try withInterface { interface, port in
      for (takes, isOffered) in [
        (.all.union(.datagrams), true), (.all, false), (.all.union(.datagramsV4), false), (.datagrams, false),
      ] as [(FrameCapabilities, Bool)] {
        port.takes = takes
        let features = VirtioNetFeatures(rawValue: interface.device.features.rawValue)
        #expect(features.contains(.hostUDPSegments) == isOffered, "\(takes)")
        #expect(features.isSuperset(of: [.guestUDPSegmentsIPv4, .guestUDPSegmentsIPv6]), "the guest is not asked to take any")
      }
    }
  }

  @Test func aGuestsDatagramsArePassedOnInOneFrame() throws {
    try withInterface { interface, port in
      try interface.send(frame(payload: 20_000), header: header())
      interface.settle()
      let taken = try #require(port.taken.first)
      #expect(taken.bytes == frame(payload: 20_000))
      #expect(taken.offload.segmentation == .datagrams && taken.offload.segmentByteCount == 1000)
      #expect(taken.offload.needsChecksum && taken.offload.checksumStart == 34 && taken.offload.checksumOffset == 6)
    }
  }

  @Test func aFrameThatCannotBeCutSoIsRefused() throws {
    try withInterface { interface, port in
      // No size; TCP; no checksum to be done; congestion, which is TCP's; by fragments, which was not offered.
      try interface.send(frame(payload: 3000), header: header(size: 0))
      try interface.send(frame(payload: 3000, isUDP: false), header: header())
      try interface.send(frame(payload: 3000), header: header(needsChecksum: false))
      try interface.send(frame(payload: 3000), header: header(kind: 0x85))
      try interface.send(frame(payload: 3000), header: header(kind: VirtioNetSegmentation.udp.rawValue))
      interface.settle()
      #expect(port.taken == [] && interface.device.status.counters.transmitErrors == 5)
    }
  }

  @Test func aGuestThatDidNotAgreeToDatagramsCannotSendThem() throws {
    try withInterface(Self.without) { interface, port in
      try interface.send(frame(payload: 3000), header: header())
      interface.settle()
      #expect(port.taken == [] && interface.device.status.counters.transmitErrors == 1)
    }
  }

  @Test func aGuestGetsThePortsDatagramsInOneFrame() throws {
    try withInterface { interface, port in
      for _ in 0..<8 { try interface.post([4096]) }
      var offload = FrameOffload()
      offload.needsChecksum = true
      offload.segmentation = .datagrams
      offload.segmentByteCount = 1200
      #expect(port.deliver(frame(payload: 10_000), offload: offload) == .delivered)
      let received = try interface.received()
      #expect(received.map(\.frame) == [frame(payload: 10_000)])
      let header = try #require(received.first?.header)
      #expect(header.segmentation == VirtioNetSegmentation.udpSegments.rawValue && header.segmentByteCount == 1200 && header.headerByteCount == 42)
      #expect(header.flags == VirtioNetHeaderFlags.needsChecksum.rawValue && header.checksumStart == 34 && header.checksumOffset == 6)
    }
  }

  @Test func aGuestThatTakesNoDatagramsGetsNone() throws {
    try withInterface(Self.without) { interface, port in
      try interface.post([16384])
      var offload = FrameOffload()
      offload.needsChecksum = true
      offload.segmentation = .datagrams
      offload.segmentByteCount = 1200
      #expect(port.deliver(frame(payload: 10_000), offload: offload) == .dropped)
    }
  }

  /// At a switch everybody may send them: they are cut for those who do not take them.
  @Test(arguments: [true, false])
  func datagramsReachAnotherGuestAtASwitch(takesThem: Bool) throws {
    let loop = try EventLoop(name: "test", configuration: EventLoop.Configuration())
    let lan = try VirtualSwitch(name: "lan")
    let left = try GuestInterface(lan.makePort(SwitchPortConfiguration(address: MACAddress("02:00:00:00:00:01"))), on: loop)
    let right = try GuestInterface(
      lan.makePort(SwitchPortConfiguration(address: MACAddress("02:00:00:00:00:02"))), on: loop,
      features: takesThem ? GuestInterface.allFeatures : Self.without)
    #expect(VirtioNetFeatures(rawValue: left.device.features.rawValue).contains(.hostUDPSegments))
    for _ in 0..<8 { try right.post([4096]) }
    let sent = frame(payload: 2500)
    try left.send(sent, header: header())
    left.settle()
    let received = try right.received()
    if takesThem {
      #expect(received.map(\.frame) == [sent] && received.first?.header.segmentation == VirtioNetSegmentation.udpSegments.rawValue)
    } else {
      #expect(received.map { $0.frame.count - 42 } == [1000, 1000, 500])
      #expect(received.flatMap { $0.frame.dropFirst(42) } == Array(sent.dropFirst(42)))
      #expect(received.allSatisfy { $0.header.segmentation == VirtioNetSegmentation.none.rawValue })
    }
    left.close()
    right.close()
    loop.shutDown()
  }
}
