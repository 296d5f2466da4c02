public import SharedMemory

extension Frame {
  /// Copies bytes `start..<start + count` of the frame to `destination` at `offset`. The range must be within the frame.
  public func copy(from start: Int, byteCount count: Int, to destination: SharedBytes, at offset: Int) {
    precondition(start >= 0 && count >= 0 && start <= byteCount - count, "a range outside the frame")
    var position = start
    var target = offset
    var left = count
    if position < headByteCount {
      let taken = min(left, headByteCount - position)
      destination.copy(from: head, sourceOffset: position, to: target, byteCount: taken)
      target += taken
      left -= taken
      position = 0
    } else {
      position -= headByteCount
    }
    var index = 0
    while left > 0 {
      let piece = piece(index)
      index += 1
      if position >= piece.byteCount {
        position -= piece.byteCount
        continue
      }
      let taken = min(left, piece.byteCount - position)
      // SAFETY: whoever appended the piece keeps it mapped until the frame is done with; the stretch is within it.
      unsafe destination.copyIn(SharedVector(address: piece.address + UInt(position), byteCount: taken), at: target)
      target += taken
      left -= taken
      position = 0
    }
  }
}
