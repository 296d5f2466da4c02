import NetPackets
import SharedMemory
import Testing

@Suite struct FrameHeadersTests {
  @Test func findsTCPOverIPv4() {
    let headers = FrameHeaders(of: Frame.made(ethernet() + ipv4(6) + tcp() + [1, 2, 3]))
    #expect(headers.network == .ipv4 && headers.transport == .tcp)
    #expect(headers.networkOffset == 14 && headers.transportOffset == 34 && headers.payloadOffset == 54 && headers.checksumOffset == 16)
  }

  @Test func findsUDPBehindOptionsAndATag() {
    var network = ipv4(17)
    network[0] = 0x46
    network += [1, 1, 1, 1]
    let headers = FrameHeaders(of: Frame.made(ethernet(type: 0x8100) + [0, 10, 8, 0] + network + udp()))
    #expect(headers.transport == .udp && headers.networkOffset == 18 && headers.transportOffset == 42 && headers.checksumOffset == 6)
  }

  @Test func findsTCPBehindExtensionHeadersOfIPv6() {
    let hopByHop: [UInt8] = [60, 0, 1, 4, 0, 0, 0, 0]
    let destination: [UInt8] = [6, 1] + [UInt8](repeating: 0, count: 14)
    let headers = FrameHeaders(of: Frame.made(ethernet(type: 0x86dd) + ipv6(0) + hopByHop + destination + tcp()))
    #expect(headers.network == .ipv6 && headers.transport == .tcp && headers.transportOffset == 14 + 40 + 8 + 16)
  }

  @Test func aFragmentHasNoTransportHeader() {
    for offset in [[0x20, 0], [0, 1], [0x3f, 0xff]] as [[UInt8]] {
      var network = ipv4(6)
      network.replaceSubrange(6..<8, with: offset)
      #expect(FrameHeaders(of: Frame.made(ethernet() + network + tcp())).transport == .none)
    }
    var network = ipv4(6)
    network[6] = 0x40
    #expect(FrameHeaders(of: Frame.made(ethernet() + network + tcp())).transport == .tcp, "'do not fragment' is no fragment")
  }

  @Test func whatContradictsItselfIsNotFound() {
    var short = ipv4(6)
    short[0] = 0x44
    #expect(FrameHeaders(of: Frame.made(ethernet() + short + tcp())).network == .none)
    var version = ipv4(6)
    version[0] = 0x65
    #expect(FrameHeaders(of: Frame.made(ethernet() + version + tcp())).network == .none)
    var transport = tcp()
    transport[12] = 0x40
    #expect(FrameHeaders(of: Frame.made(ethernet() + ipv4(6) + transport)).transport == .none)
    transport[12] = 0xf0
    #expect(FrameHeaders(of: Frame.made(ethernet() + ipv4(6) + transport)).transport == .none, "a header longer than the frame")
  }

  /// A guest chooses where its frame ends: no cut may be read beyond.
  @Test func aFrameMayEndAnywhere() {
    let frames = [
      ethernet() + ipv4(6) + tcp(), ethernet() + ipv4(17) + udp(), ethernet(type: 0x86dd) + ipv6(0) + [6, 0, 1, 4, 0, 0, 0, 0] + tcp(),
      ethernet(type: 0x8100) + [0, 1, 0x81, 0, 0, 2, 8, 0] + ipv4(6) + tcp(),
    ]
    for bytes in frames {
      #expect(FrameHeaders(of: Frame.made(bytes)).transport != .none)
      for count in bytes.indices { #expect(FrameHeaders(of: Frame.made(Array(bytes.prefix(count)))).transport == .none) }
    }
  }

  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
  func randomHeadsNeverTrap(seed: UInt64) {
    var random = Seeded(state: seed)
    for _ in 0..<20_000 {
      var bytes = (0..<Int(random.next() % 257)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      // Often enough something that looks like a packet.
      if bytes.count > 24, random.next() % 2 == 0 {
        bytes.replaceSubrange(12..<15, with: [[0x08, 0, 0x45], [0x86, 0xdd, 0x60], [0x81, 0, 0]][Int(random.next() % 3)])
      }
      let frame = Frame.made(bytes)
      let headers = FrameHeaders(of: frame)
      #expect(headers.payloadOffset <= max(14 + 8, bytes.count), "seed \(seed)")
      frame.offload.needsChecksum = true
      if bytes.count >= 14, frame.locateChecksum() {
        frame.putPseudoHeaderSum()
        #expect(Int(frame.offload.checksumStart) + Int(frame.offload.checksumOffset) + 2 <= bytes.count, "seed \(seed)")
      }
    }
  }
}
