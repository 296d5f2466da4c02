import Glibc
public import SharedMemory

// Pieces are addresses: whoever appends one keeps it mapped until the frame is done with. The same holds for the
// stretches that are named by address here.
extension Frame {
  /// Fills `count` bytes of the head, from `offset` on, from the start of `source`, which must be mapped: how a back-end takes
  /// a guest's headers into private memory.
  @inlinable @inline(__always) public func fillHead(at offset: Int, from source: SharedVector) {
    // SAFETY: the caller has the source mapped; the place in the head is checked.
    unsafe head.copyIn(source, at: offset)
  }

  /// Copies bytes `start..<start + destination.byteCount` of the frame to `destination`, which must be mapped and writable.
  @inlinable @inline(__always) public func copy(from start: Int, to destination: SharedVector) {
    precondition(start >= 0 && destination.byteCount >= 0 && start <= byteCount - destination.byteCount, "a range outside the frame")
    if start + destination.byteCount <= headByteCount {
      // SAFETY: the destination is mapped, as whoever named it promises; the range is in the head.
      unsafe head.copyOut(at: start, to: destination)
    } else {
      copyStretches(from: start, to: destination)
    }
  }

  @usableFromInline func copyStretches(from start: Int, to destination: SharedVector) {
    forEachStretch(from: start, byteCount: destination.byteCount) { source, position in
      // SAFETY: both are mapped, as whoever named them promises; `position` and the stretch are within the destination.
      unsafe memcpy(
        UnsafeMutableRawPointer(bitPattern: destination.address + UInt(position))!, UnsafeRawPointer(bitPattern: source.address)!,
        source.byteCount)
    }
  }

  /// Copies bytes `start..<start + count` of the frame to `destination` at `offset`. The range must be within the frame.
  public func copy(from start: Int, byteCount count: Int, to destination: SharedBytes, at offset: Int) {
    precondition(start >= 0 && count >= 0 && start <= byteCount - count, "a range outside the frame")
    forEachStretch(from: start, byteCount: count) { source, position in
      // SAFETY: the source is mapped, as whoever appended it promises; the destination is checked.
      unsafe destination.copyIn(source, at: offset + position)
    }
  }

  /// Calls `body` with each stretch of memory that holds a part of the range, in order, and where in the range that part is.
  @inline(__always) func forEachStretch(from start: Int, byteCount count: Int, _ body: (SharedVector, Int) -> Void) {
    var skipped = start
    var done = 0
    if skipped < headByteCount {
      let taken = min(count, headByteCount - skipped)
      if taken > 0 { body(head.vector(at: skipped, byteCount: taken), 0) }
      done = taken
      skipped = 0
    } else {
      skipped -= headByteCount
    }
    var index = 0
    while done < count {
      let piece = piece(index)
      index += 1
      if skipped >= piece.byteCount {
        skipped -= piece.byteCount
        continue
      }
      let taken = min(count - done, piece.byteCount - skipped)
      body(SharedVector(address: piece.address + UInt(skipped), byteCount: taken), done)
      done += taken
      skipped = 0
    }
  }
}
