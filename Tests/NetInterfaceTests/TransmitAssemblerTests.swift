import NetInterface
import NetPackets
import Testing
import XenInterface

/// Each rule of a transmit chain by itself.
@Suite struct TransmitAssemblerTests {
  private let assembler = TransmitChains()

  @Test(arguments: [14, 60, 1514, 4096] as [Int])
  func aFrameInOneSlotIsThatSlot(byteCount: Int) {
    let slot = request(byteCount, offset: 4096 - byteCount, flags: .checksumBlank, identifier: 77, grant: 9)
    #expect(assembler.assemble([slot]) == .frame(pieces: [
      TransmitPiece(grantReference: GrantReference(rawValue: 9), offset: 4096 - byteCount, byteCount: byteCount)
    ]))
    #expect(assembler.byteCount == byteCount)
    #expect(assembler.slotCount == 1)
    #expect(assembler.identifiers[0] == 77)
    #expect(assembler.offload.needsChecksum)
    #expect(!assembler.offload.isValidated)
    #expect(assembler.isBetweenFrames)
  }

  @Test(arguments: [0, 1, 13] as [Int])
  func aFrameSmallerThanAnEthernetHeaderIsAnsweredWithError(byteCount: Int) {
    // Wherever it says it is: nothing of it is looked at.
    #expect(assembler.assemble([request(byteCount, offset: 65535)]) == .rejected(.tooShort))
    #expect(assembler.assemble(chain(total: byteCount, fragments: [byteCount])) == .rejected(.tooShort))
    #expect(assembler.identifiers.count == 2)
  }

  @Test(arguments: [(1, 4096), (4096, 1), (0, 4097), (65535, 65535), (4083, 14)] as [(Int, Int)])
  func aPieceThatEndsOutsideItsPageIsMalicious(offset: Int, byteCount: Int) {
    if byteCount >= 14 {
      #expect(TransmitChains().assemble([request(byteCount, offset: offset)])
        == .fault(.pieceOutsidePage(GrantReference(rawValue: 8), offset: offset, byteCount: byteCount)))
    }
    let fragment = request(byteCount, offset: offset, grant: 11)
    #expect(TransmitChains().assemble([request(65535, flags: .moreData), fragment])
      == .fault(.pieceOutsidePage(GrantReference(rawValue: 11), offset: offset, byteCount: byteCount)))
  }

  @Test func anEmptyFragmentOutsideItsPageIsMaliciousToo() {
    let outcome = assembler.assemble([request(60, flags: .moreData), request(0, offset: 4097)])
    #expect(outcome == .fault(.pieceOutsidePage(GrantReference(rawValue: 8), offset: 4097, byteCount: 0)))
  }

  @Test func theFirstPieceIsWhatTheOthersLeave() {
    #expect(assembler.assemble(chain(total: 9000, fragments: [4096, 1000])) == .frame(pieces: [
      TransmitPiece(grantReference: GrantReference(rawValue: 8), offset: 0, byteCount: 3904),
      TransmitPiece(grantReference: GrantReference(rawValue: 100), offset: 0, byteCount: 4096),
      TransmitPiece(grantReference: GrantReference(rawValue: 101), offset: 0, byteCount: 1000),
    ]))
    #expect(assembler.byteCount == 9000)
  }

  @Test func theFirstPieceMustLieInItsPageWithWhatTheOthersLeave() {
    #expect(assembler.assemble(chain(total: 8193, fragments: [4096]))
      == .fault(.pieceOutsidePage(GrantReference(rawValue: 8), offset: 0, byteCount: 4097)))
  }

  @Test(arguments: 0...18)
  func anEmptyFragmentIsSkippedWhereverItIs(position: Int) {
    var fragments = [Int](repeating: 10, count: 18)
    if position < 18 { fragments[position] = 0 }
    let slots = chain(total: 300, fragments: fragments)
    guard case .frame(let pieces) = assembler.assemble(slots) else {
      Issue.record("not a frame")
      return
    }
    #expect(pieces.allSatisfy { $0.byteCount > 0 })
    #expect(pieces.map(\.byteCount).reduce(0, +) == 300)
    #expect(pieces.count == (position < 18 ? 18 : 19))
    // It is answered like the others.
    #expect(assembler.identifiers == Array(0...18))
  }

  @Test func aFirstPieceThatIsEmptyIsSkipped() {
    let outcome = assembler.assemble([request(100, offset: 4096, flags: .moreData), request(60, flags: .moreData, grant: 9), request(40, grant: 10)])
    #expect(outcome == .frame(pieces: [
      TransmitPiece(grantReference: GrantReference(rawValue: 9), offset: 0, byteCount: 60),
      TransmitPiece(grantReference: GrantReference(rawValue: 10), offset: 0, byteCount: 40),
    ]))
    #expect(assembler.identifiers.count == 3)
  }

  @Test func aFrameOfEmptyFragmentsIsItsFirstPiece() {
    let slots = chain(total: 20, fragments: [Int](repeating: 0, count: 18))
    #expect(assembler.assemble(slots)
      == .frame(pieces: [TransmitPiece(grantReference: GrantReference(rawValue: 8), offset: 0, byteCount: 20)]))
    #expect(assembler.slotCount == 19)
  }

  @Test(arguments: 0...22)
  func manyFragmentsAreTakenThenDroppedThenMalicious(count: Int) {
    let slots = chain(total: 60, fragments: [Int](repeating: 1, count: count))
    let (outcome, slotCount) = assembler.assemble(slots[...])
    switch count {
    case ...18:
      guard case .frame(let pieces) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(pieces.count == count + 1)
    case 19, 20: #expect(outcome == .rejected(.fragmentCount))
    default: #expect(outcome == .fault(.fragmentCount))
    }
    #expect(slotCount == min(count + 1, 22))
    if count <= 20 { #expect(assembler.identifiers.count == count + 1) }
  }

  @Test func aFrameOf64KiBWhoseSizeOverflowedIsDroppedWhole() {
    // 65536 + 14 bytes are announced as 14.
    let slots = chain(total: 14, fragments: [Int](repeating: 4096, count: 16))
    let (outcome, slotCount) = assembler.assemble(slots[...])
    #expect(outcome == .rejected(.fragmentExceedsFrame))
    #expect(slotCount == 17)
    #expect(assembler.identifiers.count == 17)
  }

  @Test func theFirstMistakeOfADroppedChainCounts() {
    #expect(assembler.assemble(chain(total: 14, fragments: [15] + [Int](repeating: 0, count: 19))) == .rejected(.fragmentExceedsFrame))
    #expect(assembler.assemble(chain(total: 14, fragments: [Int](repeating: 0, count: 18) + [15])) == .rejected(.fragmentCount))
  }

  @Test func aDroppedChainCanStillTurnOutMalicious() {
    let slots = chain(total: 14, fragments: [15]).map { slot in
      var slot = slot
      slot.flags |= NetifTransmitFlags.moreData.rawValue
      return slot
    }
    #expect(assembler.assemble(slots + [request(4096, offset: 1)])
      == .fault(.pieceOutsidePage(GrantReference(rawValue: 8), offset: 1, byteCount: 4096)))
  }

  @Test func aChainThatTheRingCutsIsMalicious() {
    for slots in [chain(total: 60, fragments: [1, 1]), chain(total: 60, fragments: [1, 1], extras: [segmentationExtra(), hashExtra()])] {
      for count in 1..<slots.count {
        let assembler = TransmitChains()
        #expect(assembler.assemble(Array(slots[..<count])) == .unfinished)
        #expect(!assembler.isBetweenFrames)
        let expected: TransmitFault = slots.count == 5 && count < 3 ? .missingExtraInfo : .missingFragment
        #expect(throws: expected) { try assembler.endOfRequests() }
        // It stays so, whatever comes.
        #expect(throws: expected) { try assembler.add(request(60)) }
        #expect(throws: expected) { try assembler.endOfRequests() }
      }
    }
  }

  @Test func theRingMayEndBetweenFrames() throws {
    try assembler.endOfRequests()
    #expect(try assembler.add(request(60)) == .frame)
    try assembler.endOfRequests()
  }

  @Test func aFaultStays() {
    #expect(throws: TransmitFault.extraInfo(.type(0))) {
      _ = try assembler.add(request(60, flags: .extraInfo))
      _ = try assembler.add(NetifTransmitRequest(otherExtra(type: 0)))
    }
    #expect(throws: TransmitFault.extraInfo(.type(0))) { try assembler.add(request(60)) }
    #expect(throws: TransmitFault.extraInfo(.type(0))) { try assembler.endOfRequests() }
  }
}

/// Each rule of extra infos by itself.
@Suite struct TransmitExtraTests {
  private let assembler = TransmitChains()

  @Test(arguments: 0...255 as ClosedRange<Int>)
  func anExtraInfoThatDoesNotExistIsMalicious(type: Int) {
    let outcome = assembler.assemble(chain(total: 60, extras: [otherExtra(type: UInt8(type))]))
    switch type {
    case 1: #expect(outcome == .fault(.extraInfo(.segmentationType(255))))
    case 2, 3: #expect(outcome == .multicastChange)
    case 4, 5:
      guard case .frame = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(assembler.extraCount == 1)
    default: #expect(outcome == .fault(.extraInfo(.type(UInt8(type)))))
    }
  }

  @Test func segmentsOfNoBytesAreMalicious() {
    #expect(assembler.assemble(chain(total: 60, extras: [segmentationExtra(size: 0)])) == .fault(.extraInfo(.emptySegments)))
  }

  @Test(arguments: 0...255 as ClosedRange<Int>)
  func onlyTwoWaysToCutAFrameExist(type: Int) {
    let outcome = assembler.assemble(chain(total: 60, extras: [segmentationExtra(type: UInt8(type))]))
    guard type == 1 || type == 2 else {
      #expect(outcome == .fault(.extraInfo(.segmentationType(UInt8(type)))))
      return
    }
    #expect(assembler.offload.segmentation == (type == 1 ? .tcpv4 : .tcpv6))
    #expect(assembler.offload.segmentByteCount == 1448)
    #expect(assembler.offload.needsChecksum)
    #expect(assembler.needsPseudoHeaderSum)
  }

  @Test func aFrameToBeCutWithABlankChecksumNeedsNoOther() {
    _ = assembler.assemble([request(60, flags: [.extraInfo, .checksumBlank]), NetifTransmitRequest(segmentationExtra())])
    #expect(assembler.offload.needsChecksum)
    #expect(!assembler.needsPseudoHeaderSum)
  }

  @Test func theNextFrameKnowsNothingOfTheLastOnesExtraInfos() {
    _ = assembler.assemble(chain(total: 60, extras: [segmentationExtra(), hashExtra()]))
    #expect(assembler.extras.hash == FrameHash(type: .ipv4TCP, value: 0x1234_5678))
    _ = assembler.assemble(chain(total: 60))
    #expect(assembler.extras == ExtraInfos())
    #expect(assembler.offload == FrameOffload())
    #expect(assembler.slotCount == 1)
  }

  @Test(arguments: [(4, 1), (0, 2), (0, 0), (255, 255)] as [(UInt8, UInt8)])
  func aHashMadeInAnUnknownWayIsSkipped(type: UInt8, algorithm: UInt8) {
    let slots = chain(total: 60, extras: [hashExtra(type: type, algorithm: algorithm)])
    #expect(assembler.assemble(slots) == .frame(pieces: [TransmitPiece(grantReference: GrantReference(rawValue: 8), offset: 0, byteCount: 60)]))
    #expect(assembler.extras.hash == nil)
    #expect(assembler.extraCount == 1)
  }

  @Test func aMulticastExtraInfoMakesTheFrameAMessage() {
    // As TransmitSlots writes it: without a page, without a size.
    let slots = [TransmitSlots.multicastRequest(identifier: 5), TransmitSlots.multicastExtra(adding: MACAddress(rawValue: 0x3333_0000_00fb))]
    #expect(assembler.assemble(slots) == .multicastChange)
    #expect(assembler.extras.multicastAddition == MACAddress(rawValue: 0x3333_0000_00fb))
    #expect(assembler.extras.multicastRemoval == nil)
    #expect(assembler.identifiers.count == 1)
    #expect(assembler.extraCount == 1)
    let removal = [TransmitSlots.multicastRequest(identifier: 6), TransmitSlots.multicastExtra(removing: MACAddress(rawValue: 0x0100_5e7f_fffa))]
    #expect(assembler.assemble(removal) == .multicastChange)
    #expect(assembler.extras.multicastAddition == nil)
    #expect(assembler.extras.multicastRemoval == MACAddress(rawValue: 0x0100_5e7f_fffa))
    #expect(assembler.identifiers[0] == 6)
  }

  @Test func aMessageWithFragmentsIsAnsweredWhole() {
    #expect(assembler.assemble(chain(total: 0, fragments: [0, 0], extras: [multicastExtra(.multicastAdd)])) == .multicastChange)
    #expect(assembler.identifiers.count == 3)
    #expect(assembler.slotCount == 4)
    #expect(assembler.assemble(chain(total: 0, fragments: [1], extras: [multicastExtra(.multicastAdd)])) == .rejected(.fragmentExceedsFrame))
  }

  /// Every sequence of up to three extra infos of every kind, in front of no, one and two fragments.
  @Test func everyCombinationOfExtraInfosIsWhatTheModelSays() {
    let kinds = [
      segmentationExtra(), segmentationExtra(type: 2), segmentationExtra(size: 0), multicastExtra(.multicastAdd),
      multicastExtra(.multicastRemove, 0x0100_5e00_0001), hashExtra(), hashExtra(algorithm: 9), headroomExtra(256), otherExtra(type: 0),
      otherExtra(type: 6),
    ]
    var sequences: [[NetifExtraInfo]] = [[]]
    for _ in 0..<3 { sequences += sequences.flatMap { sequence in kinds.map { sequence + [$0] } } }
    for extras in sequences {
      for fragments in [[], [20], [20, 60]] as [[Int]] {
        let assembler = TransmitChains()
        let slots = chain(total: 60, fragments: fragments, extras: extras)
        let expected = TransmitModel.outcome(of: slots[...])
        let got = assembler.assemble(slots[...])
        #expect(got == expected, "\(extras), \(fragments)")
        if case .fault = got.outcome { continue }
        #expect(assembler.slotCount == slots.count)
        #expect(assembler.extraCount == extras.count)
        #expect(assembler.extras.segmentation == (extras.last { $0.type == 1 }.map { $0.data(at: 1) == 1 ? .tcpv4 : .tcpv6 } ?? .none))
        #expect((assembler.extras.multicastAddition != nil) == extras.contains { $0.type == 2 })
        #expect((assembler.extras.multicastRemoval != nil) == extras.contains { $0.type == 3 })
      }
    }
  }
}
