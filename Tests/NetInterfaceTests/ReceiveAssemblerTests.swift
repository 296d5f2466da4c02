import NetInterface
import NetPackets
import TestSupport
import Testing
import XenInterface

/// Responses of a receive ring, as an honest and as a hostile back-end writes them.
@Suite struct ReceiveAssemblerTests {
  private let assembler = ReceiveChains()

  private func add(_ slots: [NetifReceiveResponse]) -> ReceiveAssembler.Progress {
    for slot in slots.dropLast() {
      #expect(assembler.add(slot) == .incomplete)
    }
    return slots.last.map { assembler.add($0) } ?? .incomplete
  }

  @Test func aFrameInOnePageIsThatPage() {
    #expect(add([response(60, offset: 2, flags: .dataValidated)]) == .frame)
    #expect(assembler.pieces == [ReceivePiece(slot: 0, offset: 2, byteCount: 60)])
    #expect(assembler.byteCount == 60)
    #expect(assembler.slotCount == 1)
    #expect(assembler.offload.isValidated)
    #expect(!assembler.offload.needsChecksum)
  }

  @Test func aFrameIsTheSumOfItsPieces() {
    let slots = [response(4096, flags: [.moreData, .extraInfo, .checksumBlank]), NetifReceiveResponse(segmentationExtra()), response(4096, flags: .moreData), response(7, offset: 4089)]
    #expect(add(slots) == .frame)
    #expect(assembler.byteCount == 8199)
    #expect(assembler.pieces == [
      ReceivePiece(slot: 0, offset: 0, byteCount: 4096), ReceivePiece(slot: 2, offset: 0, byteCount: 4096),
      ReceivePiece(slot: 3, offset: 4089, byteCount: 7),
    ])
    #expect(assembler.slotCount == 4)
    #expect(assembler.offload.segmentation == .tcpv4)
    #expect(assembler.offload.segmentByteCount == 1448)
    #expect(assembler.offload.needsChecksum)
    #expect(!assembler.needsPseudoHeaderSum)
  }

  @Test(arguments: 1...30)
  func manyPiecesAreTakenThenDropped(count: Int) {
    let progress = add((0..<count).map { response(20, flags: $0 + 1 < count ? .moreData : []) })
    #expect(progress == (count <= 19 ? .frame : .rejected(.pieceCount)))
    #expect(assembler.slotCount == count)
    #expect(add([response(60)]) == .frame)
  }

  @Test(arguments: [-1, -2, -32768] as [Int])
  func aFailedPieceDropsTheFrameAndItsChainIsFollowed(status: Int) {
    for position in 0..<3 {
      let slots = (0..<3).map { response($0 == position ? status : 60, flags: $0 < 2 ? .moreData : []) }
      #expect(add(slots) == .rejected(.failed))
      #expect(assembler.slotCount == 3)
    }
  }

  @Test(arguments: [(1, 4096), (4096, 1), (65535, 32767), (4090, 60)] as [(Int, Int)])
  func aPieceOutsideItsPageDropsTheFrame(offset: Int, status: Int) {
    #expect(add([response(status, offset: offset)]) == .rejected(.pieceOutsidePage))
    #expect(add([response(60, flags: .moreData), response(status, offset: offset)]) == .rejected(.pieceOutsidePage))
  }

  @Test func aFrameThatIsTooShortOrTooLargeIsDropped() {
    #expect(add([response(0)]) == .rejected(.tooShort))
    #expect(add([response(13)]) == .rejected(.tooShort))
    #expect(add([response(7, flags: .moreData), response(0, flags: .moreData), response(6)]) == .rejected(.tooShort))
    let full = (0..<16).map { response(4096, flags: $0 < 15 ? .moreData : []) }
    #expect(add(full) == .rejected(.tooLarge))
    var fitting = full
    fitting[15].status = 4095
    #expect(add(fitting) == .frame)
    #expect(assembler.byteCount == 65535)
  }

  @Test(arguments: 0..<4)
  func anEmptyPieceIsSkipped(position: Int) {
    let slots = (0..<4).map { response($0 == position ? 0 : 60, flags: $0 < 3 ? .moreData : []) }
    #expect(add(slots) == .frame)
    #expect(assembler.pieces.map(\.slot) == [0, 1, 2, 3].filter { $0 != position })
    #expect(assembler.slotCount == 4)
  }

  @Test func aWrongExtraInfoDropsTheFrameAndItsChainIsFollowed() {
    for extra in [otherExtra(type: 0), otherExtra(type: 6), otherExtra(type: 255), segmentationExtra(size: 0), segmentationExtra(type: 3)] {
      var wrong = extra
      wrong.flags = NetifExtraFlags.more.rawValue
      let slots = [response(60, flags: [.extraInfo, .moreData]), NetifReceiveResponse(wrong), NetifReceiveResponse(hashExtra()), response(60)]
      #expect(add(slots) == .rejected(.extraInfo))
      #expect(assembler.slotCount == 4)
    }
    #expect(add([response(60)]) == .frame)
    #expect(assembler.extras == ExtraInfos())
  }

  @Test func aChainThatTheRingCutsIsDropped() {
    #expect(assembler.endOfResponses() == nil)
    #expect(assembler.add(response(60, flags: .moreData)) == .incomplete)
    #expect(assembler.endOfResponses() == .missingPiece)
    #expect(assembler.slotCount == 1)
    #expect(assembler.endOfResponses() == nil)
    #expect(assembler.add(response(60, flags: .extraInfo)) == .incomplete)
    #expect(assembler.endOfResponses() == .missingExtraInfo)
    #expect(add([response(60)]) == .frame)
  }

  @Test func theObsoleteWayToSayHowToCutIsDropped() {
    #expect(add([response(0, flags: [.segmentationPrefix, .moreData]), response(60)]) == .rejected(.segmentationPrefix))
    #expect(add([response(60, flags: .segmentationPrefix)]) == .rejected(.segmentationPrefix))
  }

  @Test func headroomIsTakenOutAsLinuxAndAsTheHeaderCountIt() {
    // Linux: the offset is 0, the length includes the headroom, in each page.
    let linux = [
      response(4096, flags: [.extraInfo, .moreData]), NetifReceiveResponse(headroomExtra(256)), response(300),
    ]
    #expect(add(linux) == .frame)
    #expect(assembler.pieces == [ReceivePiece(slot: 0, offset: 256, byteCount: 3840), ReceivePiece(slot: 2, offset: 256, byteCount: 44)])
    #expect(assembler.byteCount == 3884)
    #expect(add([response(60, offset: 256, flags: .extraInfo), NetifReceiveResponse(headroomExtra(256))]) == .frame)
    #expect(assembler.pieces == [ReceivePiece(slot: 0, offset: 256, byteCount: 60)])
  }

  @Test(arguments: [0, 59, 4096, 65535] as [UInt16])
  func headroomThatTheDataHasNotIsRefused(headroom: UInt16) {
    let progress = add([response(60, flags: .extraInfo), NetifReceiveResponse(headroomExtra(headroom))])
    switch headroom {
    case 0: #expect(progress == .frame)
    case 59: #expect(progress == .rejected(.tooShort))
    default: #expect(progress == .rejected(.pieceOutsidePage))
    }
  }

  /// Anything at all: nothing traps, every slot is in one chain, every piece in its page, every frame in its limits.
  @Test(arguments: 0..<8)
  func streamsOfRandomSlotsAreAccountedFor(part: Int) {
    for seed in Seeds.chosen(part: part, count: 400) {
      var random = SeededGenerator(seed: seed)
      let assembler = ReceiveChains()
      var pending = 0
      for _ in 0..<Int.random(in: 1...300, using: &random) {
        pending += 1
        let progress = assembler.add(randomSlot(&random))
        if progress == .incomplete {
          if random.one(in: 40) {
            #expect(assembler.endOfResponses() != nil, "PVIO_SEED=\(seed)")
            #expect(assembler.slotCount == pending, "PVIO_SEED=\(seed)")
            pending = 0
          }
          continue
        }
        #expect(assembler.slotCount == pending, "PVIO_SEED=\(seed)")
        pending = 0
        guard progress == .frame else { continue }
        let pieces = assembler.pieces
        #expect(pieces.allSatisfy { $0.byteCount > 0 && $0.offset >= 0 && $0.offset + $0.byteCount <= 4096 }, "PVIO_SEED=\(seed)")
        #expect(pieces.allSatisfy { $0.slot >= 0 && $0.slot < assembler.slotCount }, "PVIO_SEED=\(seed)")
        #expect(Set(pieces.map(\.slot)).count == pieces.count, "PVIO_SEED=\(seed)")
        #expect(pieces.map(\.byteCount).reduce(0, +) == assembler.byteCount, "PVIO_SEED=\(seed)")
        #expect((14...65535).contains(assembler.byteCount) && (1...19).contains(pieces.count), "PVIO_SEED=\(seed)")
      }
    }
  }

  private func randomSlot(_ random: inout SeededGenerator) -> NetifReceiveResponse {
    if random.one(in: 6) {
      var extra = otherExtra(type: UInt8.random(in: random.one(in: 8) ? 0...255 : 1...5, using: &random), more: random.one(in: 3))
      for index in 0..<3 { extra.setData(UInt16.random(in: random.one(in: 3) ? 0...65535 : 1...300, using: &random), at: index) }
      return NetifReceiveResponse(extra)
    }
    var flags = NetifReceiveFlags(rawValue: random.one(in: 20) ? UInt16.random(in: 0...65535, using: &random) : UInt16.random(in: 0...3, using: &random))
    if !random.one(in: 3) { flags.insert(.moreData) }
    if random.one(in: 5) { flags.insert(.extraInfo) }
    let status = random.one(in: 40) ? Int.random(in: -32768...32767, using: &random) : Int.random(in: 0...4096, using: &random)
    let offset = random.one(in: 40) ? Int.random(in: 0...65535, using: &random) : random.one(in: 2) ? 0 : Int.random(in: 0...max(0, 4096 - status), using: &random)
    return response(status, offset: offset, flags: flags)
  }
}
