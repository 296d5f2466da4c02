import NetPackets
import SharedMemory
import Testing

@Suite struct OffloadTests {
  @Test func theChecksumsPlaceIsFoundInTheHeaders() {
    let frame = Frame.made(ethernet() + ipv4(17) + udp())
    frame.offload.needsChecksum = true
    #expect(frame.locateChecksum())
    #expect(frame.offload.checksumStart == 34 && frame.offload.checksumOffset == 6)
  }

  @Test func whatCannotHaveAChecksumIsRefused() {
    let frame = Frame.made(ethernet(type: 0x0806) + [UInt8](repeating: 0, count: 28))
    frame.offload.needsChecksum = true
    #expect(!frame.locateChecksum())
  }

  @Test func aFrameIsCutOnlyAsItsHeadersSay() {
    for (bytes, segmentation, allowed) in [
      (ethernet() + ipv4(6) + tcp(), FrameOffload.Segmentation.tcpv4, true), (ethernet() + ipv4(6) + tcp(), .tcpv6, false),
      (ethernet(type: 0x86dd) + ipv6(6) + tcp(), .tcpv6, true), (ethernet() + ipv4(17) + udp(), .tcpv4, false),
      (ethernet() + ipv4(17) + udp(), .datagrams, true), (ethernet(type: 0x86dd) + ipv6(17) + udp(), .datagrams, true),
      (ethernet() + ipv4(6) + tcp(), .datagrams, false), (ethernet(type: 0x0806) + udp() + udp() + udp() + udp(), .datagrams, false),
    ] {
      let frame = Frame.made(bytes)
      frame.offload.needsChecksum = true
      frame.offload.segmentation = segmentation
      frame.offload.segmentByteCount = 1448
      #expect(frame.locateChecksum() == allowed)
    }
  }

  @Test func aReceiverTakesDatagramsOfTheFamiliesThatItNames() {
    let four = Frame.made(ethernet() + ipv4(17) + udp())
    let six = Frame.made(ethernet(type: 0x86dd) + ipv6(17) + udp())
    for frame in [four, six] {
      frame.offload.needsChecksum = true
      frame.offload.segmentation = .datagrams
      frame.offload.segmentByteCount = 1000
    }
    for (capabilities, takesFour, takesSix) in [
      (.all, false, false), (.all.union(.datagramsV4), true, false), (.all.union(.datagramsV6), false, true), (.all.union(.datagrams), true, true),
      (.datagrams, false, false),
    ] as [(FrameCapabilities, Bool, Bool)] {
      #expect(capabilities.takes(four) == takesFour && capabilities.takes(six) == takesSix, "\(capabilities)")
    }
  }

  /// Completed by adding up the rest, as a receiver does, the sum is right: the whole adds up to 0xffff (RFC 1071).
  @Test(arguments: [0, 1, 7, 100] as [Int])
  func thePseudoHeaderSumIsWhatAReceiverStartsFrom(payload: Int) {
    for (network, type, transport) in [(ipv4(6), UInt16(0x0800), tcp()), (ipv6(17), 0x86dd, udp())] {
      let bytes = ethernet(type: type) + network + transport + (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      let frame = Frame.made(bytes)
      frame.offload.needsChecksum = true
      #expect(frame.locateChecksum())
      frame.putPseudoHeaderSum()
      let start = Int(frame.offload.checksumStart)
      let place = start + Int(frame.offload.checksumOffset)
      var done = frame.head.copyOut(at: 0, byteCount: bytes.count)
      let sum = ~folded(words(done[start...]))
      done[place] = UInt8(sum >> 8)
      done[place + 1] = UInt8(truncatingIfNeeded: sum)
      let addresses = type == 0x0800 ? done[26..<34] : done[22..<54]
      let total = words(addresses) + words(done[start...]) + UInt64(bytes.count - start) + (type == 0x0800 ? 6 : 17)
      #expect(folded(total) == 0xffff)
    }
  }

  /// Whatever stretches the frame lies in: also such as begin within a word.
  @Test(arguments: [0, 1, 3, 99, 1460] as [Int])
  func aChecksumThatIsCompletedIsWhatAReceiverExpects(payload: Int) throws {
    for (network, type, transport) in [(ipv4(6), UInt16(0x0800), tcp()), (ipv6(17), 0x86dd, udp())] {
      let bytes = ethernet(type: type) + network + transport + (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      let headers = bytes.count - payload
      for cuts in [[], [0, 1], [1, 2, 3], [1, 1, 40]] where cuts.reduce(0, +) <= payload {
        let frame = Frame.made(Array(bytes[..<headers]))
        let memory = try SharedRegion(anonymousByteCount: 4096).bytes
        memory.copyIn(Array(bytes[headers...]), at: 1)
        var position = 0
        for count in cuts + [payload - cuts.reduce(0, +)] {
          frame.append(memory.vector(at: 1 + position, byteCount: count))
          position += count
        }
        frame.offload.needsChecksum = true
        #expect(frame.locateChecksum())
        frame.putPseudoHeaderSum()
        let start = Int(frame.offload.checksumStart)
        #expect(frame.completeChecksum())
        #expect(!frame.offload.needsChecksum && frame.offload.isValidated)
        let done = frame.head.copyOut(at: 0, byteCount: headers) + bytes[headers...]
        let addresses = type == 0x0800 ? done[26..<34] : done[22..<54]
        let total = words(addresses) + words(done[start...]) + UInt64(bytes.count - start) + (type == 0x0800 ? 6 : 17)
        #expect(folded(total) == 0xffff, "cut at \(cuts)")
      }
    }
  }

  @Test func aChecksumThatIsNotInTheHeadIsNotCompleted() {
    let frame = Frame.made(ethernet() + ipv4(17) + udp())
    #expect(!frame.completeChecksum())
    frame.offload.needsChecksum = true
    #expect(!frame.completeChecksum())
    frame.offload.checksumStart = 34
    frame.offload.checksumOffset = 7
    #expect(!frame.completeChecksum())
  }

  private func words(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    var sum: UInt64 = 0
    for (index, byte) in bytes.enumerated() { sum += index.isMultiple(of: 2) ? UInt64(byte) << 8 : UInt64(byte) }
    return sum
  }

  private func folded(_ sum: UInt64) -> UInt16 {
    var sum = sum
    while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
    return UInt16(sum)
  }
}
