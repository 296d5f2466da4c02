import NetInterface
import NetPackets
import XenInterface

// Objects around the assemblers: expectations cannot be written about values that are not copied.

final class TransmitChains {
  let assembler = TransmitAssembler()

  var isBetweenFrames: Bool { assembler.isBetweenFrames }
  var byteCount: Int { assembler.byteCount }
  var pieces: [TransmitPiece] { (0..<assembler.pieceCount).map { assembler.piece($0) } }
  var identifiers: [Int] { (0..<assembler.identifierCount).map { Int(assembler.identifier($0)) } }
  var extraCount: Int { assembler.extraCount }
  var slotCount: Int { assembler.slotCount }
  var extras: ExtraInfos { assembler.extras }
  var offload: FrameOffload { assembler.offload }
  var needsPseudoHeaderSum: Bool { assembler.needsPseudoHeaderSum }

  func add(_ slot: NetifTransmitRequest) throws(TransmitFault) -> TransmitAssembler.Progress { try assembler.add(slot) }
  func endOfRequests() throws(TransmitFault) { try assembler.endOfRequests() }

  /// Adds slots up to the end of a chain. Returns what became of it and how many slots that took.
  func assemble(_ slots: ArraySlice<NetifTransmitRequest>) -> (outcome: ChainOutcome, slotCount: Int) {
    for (index, slot) in slots.enumerated() {
      do throws(TransmitFault) {
        switch try add(slot) {
        case .incomplete: continue
        case .frame: return (.frame(pieces: pieces), index + 1)
        case .multicastChange: return (.multicastChange, index + 1)
        case .rejected(let rejection): return (.rejected(rejection), index + 1)
        }
      } catch {
        return (.fault(error), index + 1)
      }
    }
    return (.unfinished, slots.count)
  }

  func assemble(_ slots: [NetifTransmitRequest]) -> ChainOutcome { assemble(slots[...]).outcome }
}

/// What became of a chain, in a form that can be compared.
enum ChainOutcome: Equatable {
  case frame(pieces: [TransmitPiece])
  case multicastChange
  case rejected(TransmitRejection)
  case fault(TransmitFault)
  /// The slots end before the chain does.
  case unfinished
}

final class ReceiveChains {
  let assembler = ReceiveAssembler()

  var isBetweenFrames: Bool { assembler.isBetweenFrames }
  var byteCount: Int { assembler.byteCount }
  var pieces: [ReceivePiece] { (0..<assembler.pieceCount).map { assembler.piece($0) } }
  var slotCount: Int { assembler.slotCount }
  var extras: ExtraInfos { assembler.extras }
  var offload: FrameOffload { assembler.offload }
  var needsPseudoHeaderSum: Bool { assembler.needsPseudoHeaderSum }

  func add(_ slot: NetifReceiveResponse) -> ReceiveAssembler.Progress { assembler.add(slot) }
  func endOfResponses() -> ReceiveRejection? { assembler.endOfResponses() }
}
