import NetPackets
import SharedMemory
import Testing

/// What software makes of frames that were left unfinished, held against a receiver that adds up byte by byte.
@Suite struct FrameFinisherTests {
  let finisher: FrameFinisher
  let memory: SharedBytes

  init() throws {
    finisher = FrameFinisher(memory: try SharedRegion(anonymousByteCount: FrameFinisher.memoryByteCount).bytes)
    memory = try SharedRegion(anonymousByteCount: 128 * 1024).bytes
  }

  /// `bytes` as a frame: `headByteCount` of them in the head, the rest in pieces of sizes that `random` says.
  private func frame(_ bytes: [UInt8], headByteCount: Int, _ random: inout Seeded) throws -> Frame {
    let frame = Frame(index: 0, head: try SharedRegion(anonymousByteCount: 4096).bytes)
    let head = min(headByteCount, bytes.count)
    frame.reset(headByteCount: head)
    frame.head.copyIn(bytes, from: 0, byteCount: head, at: 0)
    memory.copyIn(bytes, at: 0)
    var position = head
    while position < bytes.count {
      let left = bytes.count - position
      let count = frame.pieceCount == Frame.maximumPieceCount - 1 ? left : min(left, 1 + Int(random.next() % 4096))
      frame.append(memory.vector(at: position, byteCount: count))
      position += count
    }
    return frame
  }

  private func finished(_ frame: Frame, for capabilities: FrameCapabilities) -> [[UInt8]]? {
    var made: [[UInt8]] = []
    let isPossible = finisher.finish(frame, for: capabilities) { made.append($0.head.copyOut(at: 0, byteCount: $0.byteCount)) }
    return isPossible ? made : nil
  }

  // MARK: Checksums

  @Test func aChecksumIsThatOfAKnownPacket() throws {
    // RFC 1071 adds 0001 f203 f4f5 f6f7 up to ddf2; in a UDP packet of 10.0.0.1 to 10.0.0.2, worked out by hand.
    var random = Seeded(state: 1)
    let bytes = ethernet() + ipv4(17, payload: 16) + [0, 1, 0, 2, 0, 16, 0, 0] + [0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]
    let frame = try frame(bytes, headByteCount: 42, &random)
    frame.offload.needsChecksum = true
    let made = try #require(finished(frame, for: []))
    // 0a00+0001+0a00+0002 + 0011+0010 + 0001+0002+0010+0000 + ddf2 = f229; inverted.
    #expect(Array(made[0][40..<42]) == [0x0d, 0xd6])
  }

  @Test func completedChecksumsAreRightWhateverPiecesTheFrameIsIn() throws {
    let seed: UInt64 = 20_261_121
    var random = Seeded(state: seed)
    for _ in 0..<400 {
      // Half of them short enough to be padded.
      let limit: UInt64 = random.next() & 1 == 0 ? 18 : 3000
      let payload = (0..<Int(random.next() % limit)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let isV6 = random.next() & 1 == 0
      let transport = random.next() & 1 == 0 ? tcp() : [0x12, 0x34, 0, 53] + bigEndian(8 + payload.count) + [0xaa, 0xbb]
      let number: UInt8 = transport.count == 20 ? 6 : 17
      let count = transport.count + payload.count
      var bytes = ethernet(type: isV6 ? 0x86dd : 0x0800) + (isV6 ? ipv6(number, payload: count) : ipv4(number, payload: count)) + transport + payload
      // Short frames are padded, with whatever.
      while bytes.count < 60 { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
      let frame = try frame(bytes, headByteCount: 100 + Int(random.next() % 100), &random)
      frame.offload.needsChecksum = true
      #expect(frame.locateChecksum())
      let made = try #require(finished(frame, for: []), "seed \(seed)")
      #expect(made.count == 1 && made[0].count == bytes.count)
      #expect(Received(made[0]).checksumIsRight, "seed \(seed), \(bytes.count) bytes")
    }
  }

  @Test func aUDPChecksumOfZeroIsSentAsAllOnes() throws {
    var random = Seeded(state: 3)
    var bytes = ethernet() + ipv4(17, payload: 10) + [0, 1, 0, 2, 0, 10, 0, 0, 0, 0]
    let frame = try frame(bytes, headByteCount: 128, &random)
    frame.offload.needsChecksum = true
    let sum = try #require(finished(frame, for: []))[0][40..<42]
    // With the inverse of what is missing as payload, all of it adds up to 0xffff.
    bytes.replaceSubrange(42..<44, with: sum)
    let full = try self.frame(bytes, headByteCount: 128, &random)
    full.offload.needsChecksum = true
    #expect(Array(try #require(finished(full, for: []))[0][40..<42]) == [0xff, 0xff])
  }

  @Test func whatIsNotKnownIsSummedFromWhereItsSenderSays() throws {
    var random = Seeded(state: 4)
    let bytes = ethernet() + ipv4(132, payload: 5) + [0x12, 0x34, 0, 0, 0xff]
    let frame = try frame(bytes, headByteCount: 128, &random)
    frame.offload.needsChecksum = true
    frame.offload.checksumStart = 34
    frame.offload.checksumOffset = 2
    // 1234 + 0000 + ff00 = 11134, 1135 with the carry; inverted.
    #expect(Array(try #require(finished(frame, for: []))[0][36..<38]) == [0xee, 0xca])
    for (start, offset) in [(0, 0), (13, 2), (35, 0), (34, 4), (38, 0), (65534, 65535)] as [(UInt16, UInt16)] {
      frame.offload.checksumStart = start
      frame.offload.checksumOffset = offset
      #expect(finished(frame, for: []) == nil, "a place at \(start), \(offset)")
    }
  }

  // MARK: Segments

  @Test(arguments: [1, 2, 447, 1447, 1448, 1449, 2896, 14481, 60_000] as [Int])
  func segmentsAreWhatWasCutAndArriveWithRightChecksums(payloadByteCount: Int) throws {
    var random = Seeded(state: 5)
    let payload = (0..<payloadByteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    for isV6 in [false, true] {
      for limit in [536, 1448, 1337] as [UInt16] {
        var header = tcp()
        header[13] = 0x80 | 0x10 | 0x08 | 0x01
        header.replaceSubrange(4..<8, with: [0xff, 0xff, 0xff, 0x00])
        let count = header.count + payload.count
        let bytes = ethernet(type: isV6 ? 0x86dd : 0x0800) + (isV6 ? ipv6(6, payload: count) : ipv4(6, payload: count)) + header + payload
        let frame = try frame(bytes, headByteCount: 128, &random)
        frame.offload.needsChecksum = true
        frame.offload.segmentation = isV6 ? .tcpv6 : .tcpv4
        frame.offload.segmentByteCount = limit
        let received = try #require(finished(frame, for: [])).map(Received.init)
        #expect(received.count == (payload.count + Int(limit) - 1) / Int(limit))
        #expect(received.flatMap(\.payload) == payload)
        #expect(received.allSatisfy { $0.checksumIsRight && $0.networkChecksumIsRight && $0.lengthIsRight && $0.payload.count <= Int(limit) })
        var sequence: UInt32 = 0xffff_ff00
        for (index, segment) in received.enumerated() {
          #expect(segment.sequence == sequence)
          sequence &+= UInt32(segment.payload.count)
          let expected = 0x10 | (index == 0 ? 0x80 : 0) | (index == received.count - 1 ? 0x09 : 0) as UInt8
          #expect(segment.flags == expected, "FIN and PSH in the last, CWR in the first")
          if !isV6 { #expect(segment.identification == UInt16(1 + index)) }
        }
      }
    }
  }

  @Test(arguments: [1, 511, 512, 513, 1500, 60_000] as [Int])
  func datagramsAreWhatWasCutAndArriveWithRightLengthsAndChecksums(payloadByteCount: Int) throws {
    var random = Seeded(state: 8)
    let payload = (0..<payloadByteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    for isV6 in [false, true] {
      for limit in [512, 1472, 1001] as [UInt16] {
        let count = 8 + payload.count
        var header = udp()
        header.replaceSubrange(4..<6, with: bigEndian(count))
        let bytes = ethernet(type: isV6 ? 0x86dd : 0x0800) + (isV6 ? ipv6(17, payload: count) : ipv4(17, payload: count)) + header + payload
        let frame = try frame(bytes, headByteCount: 128, &random)
        frame.offload.needsChecksum = true
        frame.offload.segmentation = .datagrams
        frame.offload.segmentByteCount = limit
        #expect(frame.locateChecksum())
        let received = try #require(finished(frame, for: [])).map(Received.init)
        #expect(received.count == (payload.count + Int(limit) - 1) / Int(limit))
        #expect(received.flatMap(\.datagram) == payload)
        #expect(received.dropLast().allSatisfy { $0.datagram.count == Int(limit) }, "all but the last one are full")
        #expect(received.allSatisfy { $0.checksumIsRight && $0.networkChecksumIsRight && $0.lengthIsRight && $0.datagramLength == 8 + $0.datagram.count })
        if !isV6 { #expect(received.map(\.identification) == (0..<received.count).map { UInt16(1 + $0) }) }
      }
    }
  }

  @Test func aReceiverThatSumsByItselfGetsThePseudoHeaderOnly() throws {
    var random = Seeded(state: 6)
    let bytes = ethernet() + ipv4(6, payload: 20 + 3000) + tcp() + [UInt8](repeating: 9, count: 3000)
    let frame = try frame(bytes, headByteCount: 128, &random)
    frame.offload.needsChecksum = true
    frame.offload.segmentation = .tcpv4
    frame.offload.segmentByteCount = 1448
    var offloads: [FrameOffload] = []
    #expect(finisher.finish(frame, for: .checksumV4) { offloads.append($0.offload) })
    #expect(offloads.count == 3)
    #expect(offloads.allSatisfy { $0.needsChecksum && $0.segmentation == .none && $0.checksumStart == 34 && $0.checksumOffset == 16 })
  }

  @Test func whatCannotBeCutIsRefused() throws {
    var random = Seeded(state: 7)
    for (network, type, transport, segmentation, limit) in [
      (ipv4(17, payload: 3008), 0x0800, udp(), .tcpv4, 1448), (ipv4(6, payload: 3020), 0x0800, tcp(), .tcpv6, 1448),
      (ipv6(6, payload: 3020), 0x86dd, tcp(), .tcpv4, 1448), (ipv4(6, payload: 3020), 0x0800, tcp(), .tcpv4, 0),
      (ipv4(6, payload: 3020), 0x0800, tcp(), .tcpv4, 1), (ipv4(6, payload: 3020), 0x0800, tcp(), .datagrams, 1448),
      (ipv4(17, payload: 3008), 0x0800, udp(), .datagrams, 0), (ipv4(17, payload: 3008), 0x0800, udp(), .datagrams, 1),
    ] as [([UInt8], UInt16, [UInt8], FrameOffload.Segmentation, UInt16)] {
      let frame = try frame(ethernet(type: type) + network + transport + [UInt8](repeating: 1, count: 3000), headByteCount: 128, &random)
      frame.offload.needsChecksum = true
      frame.offload.segmentation = segmentation
      frame.offload.segmentByteCount = limit
      #expect(finished(frame, for: []) == nil)
    }
  }

  @Test func noHeadersWhateverTheyAreMakeItTrap() throws {
    let seed: UInt64 = 99
    var random = Seeded(state: seed)
    var finishedCount = 0
    for _ in 0..<5000 {
      var bytes = ethernet(type: random.next() & 1 == 0 ? 0x0800 : 0x86dd)
      let number: UInt8 = random.next() & 1 == 0 ? 6 : 17
      bytes += (random.next() & 1 == 0 ? ipv4(number) : ipv6(number)) + (number == 6 ? tcp() : udp()) + [UInt8](repeating: 3, count: Int(random.next() % 200))
      for _ in 0..<random.next() % 6 { bytes[Int(random.next() % UInt64(min(bytes.count, 74)))] = UInt8(truncatingIfNeeded: random.next()) }
      let frame = try frame(Array(bytes.prefix(Int(random.next() % UInt64(bytes.count + 1)))), headByteCount: Int(random.next() % 140), &random)
      frame.offload.needsChecksum = random.next() & 1 == 0
      frame.offload.segmentation = [.none, .tcpv4, .tcpv6, .datagrams][Int(random.next() % 4)]
      frame.offload.segmentByteCount = UInt16(truncatingIfNeeded: random.next() % 300)
      frame.offload.checksumStart = UInt16(truncatingIfNeeded: random.next() % 200)
      if let made = finished(frame, for: []) {
        finishedCount += 1
        #expect(made.allSatisfy { $0.count <= frame.byteCount }, "seed \(seed)")
      }
    }
    #expect(finishedCount > 0, "some are good")
  }
}
