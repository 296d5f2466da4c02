import NetInterface
import NetPackets
import Testing
import XenInterface

/// A slot that is a frame by itself is read without an assembler: both must agree on which ones are, and on what they say.
@Suite struct WholeFrameTests {
  /// Numbers at and around every limit.
  private static let lengths: [UInt16] = [0, 1, 13, 14, 15, 64, 2048, 4032, 4095, 4096, 4097, 32_767, 32_768, 65_535]
  private static let offsets: [UInt16] = [0, 1, 64, 1984, 4032, 4081, 4082, 4083, 4095, 4096, 61_440, 65_535]

  @Test(arguments: lengths)
  func aTransmitSlotIsAWholeFrameWhereTheAssemblerSaysSo(byteCount: UInt16) {
    for offset in Self.offsets {
      for flags in UInt16(0)..<64 {
        var slot = NetifTransmitRequest()
        slot.grantReference = GrantReference(rawValue: 77)
        slot.byteCount = byteCount
        slot.offset = offset
        slot.flags = flags
        let assembler = TransmitAssembler()
        let isFrame = (try? assembler.add(slot)) == .frame
        #expect((slot.wholeFrame != nil) == isFrame, "offset \(offset), flags \(flags)")
        guard isFrame, let piece = slot.wholeFrame else { continue }
        #expect(piece == assembler.piece(0) && assembler.pieceCount == 1 && piece.byteCount == assembler.byteCount)
        #expect(slot.offload == assembler.offload && !assembler.needsPseudoHeaderSum)
      }
    }
  }

  @Test(arguments: lengths)
  func aReceiveSlotIsAWholeFrameWhereTheAssemblerSaysSo(length: UInt16) {
    for offset in Self.offsets {
      for flags in UInt16(0)..<64 {
        var slot = NetifReceiveResponse()
        slot.status = Int16(bitPattern: length)
        slot.offset = offset
        slot.flags = flags
        let assembler = ReceiveAssembler()
        let isFrame = assembler.add(slot) == .frame
        #expect((slot.wholeFrame != nil) == isFrame, "offset \(offset), flags \(flags)")
        guard isFrame, let piece = slot.wholeFrame else { continue }
        #expect(piece == assembler.piece(0) && assembler.pieceCount == 1 && piece.byteCount == assembler.byteCount)
        #expect(slot.offload == assembler.offload && !assembler.needsPseudoHeaderSum)
      }
    }
  }

  @Test(arguments: [0, 77, UInt32.max] as [UInt32])
  func aFrameThatNeedNotBeginItsPageStaysInsideIt(reference: UInt32) {
    let offset = ReceiveSlots.spreadOffset(of: GrantReference(rawValue: reference))
    #expect(offset >= 0 && offset % 64 == 0 && offset + ReceiveSlots.spreadByteCount <= NetLimits.pieceByteCount)
    var offload = FrameOffload()
    offload.isValidated = true
    let response = ReceiveSlots.wholeFrame(byteCount: 2048, offload: offload, offset: offset, identifier: 9)
    #expect(response.wholeFrame == ReceivePiece(slot: 0, offset: offset, byteCount: 2048) && response.offload == offload)
    let request = TransmitSlots.wholeFrame(
      byteCount: 2048, offload: offload, grantReference: GrantReference(rawValue: reference), offset: offset, identifier: 9)
    #expect(
      request.wholeFrame == TransmitPiece(grantReference: GrantReference(rawValue: reference), offset: offset, byteCount: 2048)
        && request.offload == offload)
  }
}
