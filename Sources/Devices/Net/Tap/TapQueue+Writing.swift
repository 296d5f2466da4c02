public import EventLoop
public import NetPackets
import SharedMemory
import SystemPackage
import Uring

extension TapQueue {
  /// Sends a frame to the interface's users with the turn's other operations. Whatever its offload leaves to do, the kernel does;
  /// where a checksum is to be done must be known (`FrameOffload.checksumStart`).
  public func transmit(_ frame: Frame) -> TransmitOutcome {
    if let loop { return transmit(frame, through: loop) }
    count(.notRunning)
    return .dropped
  }

  /// The same for those who have the queue's loop at hand: to ask for it with each frame costs two atomic operations.
  public func transmit(_ frame: Frame, through loop: EventLoop) -> TransmitOutcome {
    guard state.value.phase == .running, !state.value.isRemoved else {
      count(.notRunning)
      return .dropped
    }
    guard frame.byteCount >= 14, let slot = writes.take() else {
      count(frame.byteCount < 14 ? .unsendable : .tooMany)
      return .dropped
    }
    guard frame.writeTapHeader(to: writes.memory, at: writes.headerOffset(slot)) else {
      writes.giveBack(slot)
      count(.unsendable)
      return .dropped
    }
    guard let userData = loop.begin(self, tag: Tag.make(Tag.write, slot: slot)) else {
      writes.giveBack(slot)
      count(.tooMany)
      return .dropped
    }
    writes.slots[slot].byteCount = frame.byteCount
    state.value.writesInFlight += 1
    if frame.byteCount <= TapWriteSlots.copiedByteCount {
      let stretch = writes.stretch(slot, frameByteCount: frame.byteCount)
      frame.copy(from: 0, to: SharedVector(address: stretch.address + UInt(Self.headerByteCount), byteCount: frame.byteCount))
      precondition(loop.uring.prepareWrite(state.value.file, address: stretch.address, byteCount: stretch.byteCount, offset: 0, userData: userData))
      return .done
    }
    writes.slots[slot].frame = frame
    let first = slot * TapWriteSlots.vectorsPerSlot
    let count = fillVectors(first, frame, writes.stretch(slot, frameByteCount: 0))
    precondition(loop.uring.prepareWriteVector(state.value.file, table: writes.vectors, first: first, count: count, offset: 0, userData: userData))
    return .pending
  }

  private func fillVectors(_ first: Int, _ frame: Frame, _ header: SharedVector) -> Int {
    writes.vectors[first] = (header.address, header.byteCount)
    var count = 1
    if frame.headByteCount > 0 {
      writes.vectors[first + 1] = (frame.head.address, frame.headByteCount)
      count = 2
    }
    for index in 0..<frame.pieceCount {
      let piece = frame.piece(index)
      writes.vectors[first + count] = (piece.address, piece.byteCount)
      count += 1
    }
    return count
  }

  func completedWrite(_ slot: Int, _ result: Int32) {
    state.value.writesInFlight -= 1
    let succeeded = result >= 0
    if succeeded {
      state.value.statistics.sentFrames &+= 1
      state.value.statistics.sentByteCount &+= UInt64(writes.slots[slot].byteCount)
    } else {
      failedWrite(Errno(rawValue: -result))
    }
    let frame = writes.slots[slot].frame.take()
    writes.giveBack(slot)
    if let frame { client?.transmitted(frame, succeeded: succeeded, on: self) }
  }

  private func failedWrite(_ errno: Errno) {
    switch errno {
    case .ioError, .networkDown: count(.interfaceDown)
    case .invalidArgument, .messageTooLong: count(.unsendable)
    default: count(.failed)
    }
    state.value.statistics.lastFailure = errno
  }
}
