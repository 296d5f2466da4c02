import SharedMemory

// Between frames and arrays: for programs and tests that handle whole frames, not for a data path.
extension Frame {
  /// A frame with memory of its own for `byteCount` bytes, of which ``fill(_:)`` takes as many.
  public static func scratch(index: Int = 0, byteCount: Int) -> Frame {
    guard let memory = try? SharedRegion(anonymousByteCount: max(byteCount, headCapacity)) else { fatalError("no memory for a frame of \(byteCount) bytes") }
    return Frame(index: index, head: memory.bytes)
  }

  /// Becomes `bytes`, which lie in this frame's own memory: the first ones as its head, the rest as a piece. False when they do not fit.
  public func fill(_ bytes: [UInt8]) -> Bool {
    guard bytes.count <= head.byteCount else { return false }
    let headByteCount = min(bytes.count, Frame.headCapacity)
    head.copyIn(bytes, at: 0)
    reset(headByteCount: headByteCount)
    append(head.vector(at: headByteCount, byteCount: bytes.count - headByteCount))
    return true
  }

  /// A copy of all bytes.
  public var bytes: [UInt8] {
    let copy = Frame.scratch(byteCount: byteCount).head
    self.copy(from: 0, byteCount: byteCount, to: copy, at: 0)
    return copy.copyOut(at: 0, byteCount: byteCount)
  }
}
