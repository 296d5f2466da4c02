import NetInterface
import NetPackets
import SharedMemory
import XenInterface

/// Bytes as what a peer can put on the rings of a network interface. The first byte says what the others are: slots of a transmit ring as
/// a back-end reads them (0), of a receive ring as a front-end reads them (1), or a frame that is to be finished in software (others).
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzNet(_ bytes: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
  // SAFETY: libFuzzer passes `byteCount` readable bytes for the length of this call; they are copied at once.
  let input = unsafe bytes.map { unsafe Array(UnsafeBufferPointer(start: $0, count: byteCount)) } ?? []
  guard let kind = input.first else { return 0 }
  switch kind {
  case 0: fuzzTransmitSlots(Array(input.dropFirst()))
  case 1: fuzzReceiveSlots(Array(input.dropFirst()))
  default: FrameFuzz.shared.run(kind, Array(input.dropFirst()))
  }
  return 0
}

/// Memory to read slots from, as from a ring.
private func slotMemory(_ bytes: [UInt8], slotByteCount: Int) -> (SharedBytes, count: Int) {
  let count = bytes.count / slotByteCount
  let memory = Frame.scratch(byteCount: max(1, count * slotByteCount)).head
  memory.copyIn(Array(bytes.prefix(count * slotByteCount)), at: 0)
  return (memory, count)
}

/// Every slot is accounted for in one chain; a frame's pieces have bytes, lie in their pages and make up the frame; what was broken
/// once stays broken.
private func fuzzTransmitSlots(_ bytes: [UInt8]) {
  let (memory, count) = slotMemory(bytes, slotByteCount: NetifTransmitRequest.byteCount)
  let assembler = TransmitAssembler()
  var accounted = 0
  var fault: TransmitFault?
  for index in 0..<count {
    do throws(TransmitFault) {
      let progress = try assembler.add(NetifTransmitRequest(copying: memory, at: index * NetifTransmitRequest.byteCount))
      precondition(fault == nil, "a ring that was broken is whole again")
      guard progress != .incomplete else { continue }
      accounted += assembler.slotCount
      precondition(accounted == index + 1 && assembler.slotCount == assembler.identifierCount + assembler.extraCount, "slots got lost")
      precondition(assembler.isBetweenFrames)
      if progress == .frame {
        precondition((1...NetLimits.pieceCount).contains(assembler.pieceCount) && assembler.byteCount >= NetLimits.minimumFrameByteCount)
        var sum = 0
        for piece in 0..<assembler.pieceCount {
          let piece = assembler.piece(piece)
          precondition(piece.byteCount > 0 && piece.offset >= 0 && piece.offset + piece.byteCount <= NetLimits.pieceByteCount)
          sum += piece.byteCount
        }
        precondition(sum == assembler.byteCount, "the pieces are not the frame")
        precondition(assembler.offload.segmentation == .none || assembler.offload.segmentByteCount > 0)
      }
    } catch {
      precondition(fault == nil || fault == error, "another fault than the first")
      fault = error
    }
  }
}

/// As above, for a front-end: nothing a back-end says can do more than lose a frame, and each slot gives its page back.
private func fuzzReceiveSlots(_ bytes: [UInt8]) {
  let (memory, count) = slotMemory(bytes, slotByteCount: NetifReceiveResponse.byteCount)
  let assembler = ReceiveAssembler()
  var accounted = 0
  for index in 0..<count {
    let progress = assembler.add(NetifReceiveResponse(copying: memory, at: index * NetifReceiveResponse.byteCount))
    guard progress != .incomplete else { continue }
    accounted += assembler.slotCount
    precondition(accounted == index + 1, "slots got lost")
    guard progress == .frame else { continue }
    precondition((1...NetLimits.pieceCount).contains(assembler.pieceCount) && assembler.byteCount <= NetLimits.frameByteCount)
    var sum = 0
    for number in 0..<assembler.pieceCount {
      let piece = assembler.piece(number)
      precondition(piece.byteCount > 0 && piece.offset >= 0 && piece.offset + piece.byteCount <= NetLimits.pieceByteCount)
      precondition(piece.slot < assembler.slotCount)
      sum += piece.byteCount
    }
    precondition(sum == assembler.byteCount, "the pieces are not the frame")
  }
  if assembler.endOfResponses() != nil { accounted += assembler.slotCount }
  precondition(accounted == count && assembler.isBetweenFrames, "slots got lost at the end")
}

/// A frame with whatever headers, and whatever is left to do on it, is finished or refused; what comes out is finished, and no larger than asked.
private struct FrameFuzz {
  // SAFETY: libFuzzer calls from one thread.
  nonisolated(unsafe) static let shared = unsafe FrameFuzz()
  private let frame = Frame.scratch(byteCount: 4096)
  private let finisher = FrameFinisher(memory: Frame.scratch(byteCount: FrameFinisher.memoryByteCount).head)

  func run(_ kind: UInt8, _ bytes: [UInt8]) {
    guard bytes.count > 2 + 14, frame.fill(Array(bytes.dropFirst(2))) else { return }
    frame.offload.needsChecksum = kind & 2 != 0
    frame.offload.segmentation = FrameOffload.Segmentation(rawValue: kind >> 2 & 3) ?? .none
    if frame.offload.segmentation != .none { frame.offload.needsChecksum = true }
    frame.offload.segmentByteCount = UInt16(bytes[0]) | UInt16(bytes[1]) << 8
    _ = frame.locateChecksum()
    let limit = Int(frame.offload.segmentByteCount)
    let isCut = frame.offload.segmentation != .none
    var count = 0
    let isPossible = finisher.finish(frame, for: .scatterGather) { made in
      count += 1
      precondition(!made.offload.needsChecksum && made.offload.segmentation == .none, "left unfinished")
      precondition(isCut ? made.byteCount <= Frame.headCapacity + limit : made.byteCount == frame.byteCount, "another size")
    }
    precondition(isPossible == (count > 0) || isCut, "handed over, and said not to be possible")
    precondition(count <= FrameFinisher.maximumSegmentCount)
  }
}
