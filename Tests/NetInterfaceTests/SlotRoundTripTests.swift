import NetInterface
import NetPackets
import Testing
import XenInterface

/// What one end writes, the other reads.
@Suite struct SlotRoundTripTests {
  private static let offloads: [FrameOffload] = {
    var blank = FrameOffload()
    blank.needsChecksum = true
    var valid = FrameOffload()
    valid.isValidated = true
    var large = blank
    large.segmentation = .tcpv4
    large.segmentByteCount = 1448
    var largeV6 = large
    largeV6.segmentation = .tcpv6
    largeV6.segmentByteCount = 65535
    return [FrameOffload(), blank, valid, large, largeV6]
  }()

  private static let hashes: [FrameHash?] = [nil, FrameHash(type: .ipv6TCP, value: 0xdead_beef)]

  @Test func aFrameToSendIsReadAsItWasWritten() throws {
    for offload in Self.offloads {
      for hash in Self.hashes {
        for pieceCount in 1...19 {
          let sizes = (0..<pieceCount).map { 14 + $0 * 100 }
          let slots = TransmitSlots(byteCount: sizes.reduce(0, +), pieceCount: pieceCount, offload: offload, hash: hash)
          var written: [NetifTransmitRequest] = []
          for (index, size) in sizes.enumerated() {
            written.append(
              slots.request(
                index, grantReference: GrantReference(rawValue: UInt32(50 + index)), offset: 4096 - size, byteCount: size,
                identifier: UInt16(index)))
            if index == 0 { written += (0..<slots.extraCount).map { slots.extra($0) } }
          }
          #expect(written.count == slots.count)
          let assembler = TransmitChains()
          #expect(assembler.assemble(written) == .frame(pieces: sizes.enumerated().map { index, size in
            TransmitPiece(grantReference: GrantReference(rawValue: UInt32(50 + index)), offset: 4096 - size, byteCount: size)
          }))
          #expect(assembler.slotCount == written.count)
          #expect(assembler.extras.hash == hash)
          #expect(!assembler.needsPseudoHeaderSum)
          expectSame(assembler.offload, offload)
        }
      }
    }
  }

  @Test(arguments: [0, 256, 2048] as [Int])
  func aReceivedFrameIsReadAsItWasWritten(headroom: Int) throws {
    for offload in Self.offloads {
      for hash in Self.hashes {
        for byteCount in [14, 60, 2048, 2049, 3840, 3841, 4096, 4097, 8192, 9014, 36864] {
          let slots = try #require(ReceiveSlots(byteCount: byteCount, offload: offload, hash: hash, headroomByteCount: headroom))
          var written: [NetifReceiveResponse] = []
          for index in 0..<slots.pieceCount {
            written.append(slots.response(index, identifier: UInt16(index)))
            if index == 0 { written += (0..<slots.extraCount).map { slots.extra($0) } }
          }
          #expect(written.count == slots.count)
          let data = (byteCount + 4096 - headroom - 1) / (4096 - headroom)
          #expect(slots.count == data + (offload.segmentation == .none ? 0 : 1) + (hash == nil ? 0 : 1) + (headroom == 0 ? 0 : 1))
          let assembler = ReceiveChains()
          for slot in written.dropLast() { #expect(assembler.add(slot) == .incomplete) }
          #expect(assembler.add(try #require(written.last)) == .frame)
          #expect(assembler.byteCount == byteCount)
          #expect(assembler.slotCount == written.count)
          #expect(assembler.extras.hash == hash)
          #expect(assembler.extras.headroomByteCount == (headroom == 0 ? nil : headroom))
          expectSame(assembler.offload, offload)
          var position = 0
          for index in 0..<assembler.pieces.count {
            #expect(slots.start(ofPiece: index) == position)
            #expect(assembler.pieces[index].offset == headroom)
            #expect(assembler.pieces[index].byteCount == slots.byteCount(ofPiece: index))
            #expect(assembler.pieces[index].slot == (index == 0 ? 0 : index + slots.extraCount))
            position += assembler.pieces[index].byteCount
          }
        }
      }
    }
  }

  @Test func aFrameThatNoFrontEndHasRoomForHasNoReceiveSlots() {
    #expect(ReceiveSlots(byteCount: 65535)?.pieceCount == 16)
    #expect(ReceiveSlots(byteCount: 65535, headroomByteCount: 256)?.pieceCount == 18)
    #expect(ReceiveSlots(byteCount: 65535, headroomByteCount: 512) == nil)
    #expect(ReceiveSlots(byteCount: 65536) == nil)
    #expect(ReceiveSlots(byteCount: 0) == nil)
  }

  @Test(arguments: [(0, 0, 0), (1, 0, 1), (4096, 0, 1), (4097, 0, 2), (1, 4095, 1), (2, 4095, 2), (4096, 1, 2), (65535, 4095, 17), (10, 8191, 2)] as [(Int, Int, Int)])
  func aStretchTakesAPieceForEachPageItTouches(byteCount: Int, offset: Int, expected: Int) {
    #expect(TransmitSlots.pieceCount(ofByteCount: byteCount, at: offset) == expected)
  }

  private func expectSame(_ got: FrameOffload, _ expected: FrameOffload) {
    #expect(got.needsChecksum == expected.needsChecksum)
    #expect(got.isValidated == (expected.isValidated || expected.needsChecksum))
    #expect(got.segmentation == expected.segmentation)
    #expect(got.segmentByteCount == expected.segmentByteCount)
  }
}
