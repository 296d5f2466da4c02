public import SharedMemory

/// Does in software what a frame's sender has left to others, for a receiver that cannot: completes checksums, cuts segments.
///
/// What is made lies in private memory, one frame at a time, entirely in its head: a sender that rewrites its pages meanwhile
/// gets a frame of the bytes that were summed. Belongs to one loop; allocates nothing per frame.
public final class FrameFinisher {
  /// Bytes of memory that a finisher needs: the largest frame, with tags.
  public static var memoryByteCount: Int { 68 * 1024 }
  /// Segments of a frame at most: a sender that asks for more makes work, not frames.
  public static var maximumSegmentCount: Int { 512 }

  let made: Frame

  /// - Parameter memory: private memory of ``memoryByteCount`` bytes.
  public init(memory: SharedBytes) {
    precondition(memory.byteCount >= Self.memoryByteCount, "too little memory for a frame")
    made = Frame(index: -1, head: memory)
  }

  /// Hands `deliver` what a receiver with `capabilities` takes in place of `frame`, in order. Each frame is valid within its call only.
  ///
  /// False, and nothing handed over, when the frame's headers do not allow it: it is to be dropped.
  public func finish(_ frame: Frame, for capabilities: FrameCapabilities, _ deliver: (Frame) -> Void) -> Bool {
    guard frame.byteCount <= Self.memoryByteCount else { return false }
    if frame.offload.segmentation != .none { return cut(frame, for: capabilities, deliver) }
    copyWhole(frame)
    if frame.offload.needsChecksum {
      guard completeChecksum() else { return false }
    }
    deliver(made)
    return true
  }

  private func copyWhole(_ frame: Frame) {
    made.reset(headByteCount: frame.byteCount)
    made.sender = frame.sender
    made.offload = frame.offload
    // The private head is the one that was looked at: the pieces alone are read here.
    frame.copy(from: 0, byteCount: frame.byteCount, to: made.head, at: 0)
  }

  // MARK: Checksums

  /// Completes the checksum of the frame that was made.
  private func completeChecksum() -> Bool {
    let headers = FrameHeaders(of: made)
    let start = Int(made.offload.checksumStart)
    if headers.transport != .none, start == 0 || start == headers.transportOffset {
      made.putChecksum(headers)
    } else {
      // A protocol, or a tunnel, that is not looked at: its sender has put a sum there to go on from.
      let place = start + Int(made.offload.checksumOffset)
      guard start >= 14, start & 1 == 0, place + 2 <= made.byteCount else { return false }
      let sum = made.head.internetSum(at: start, byteCount: made.byteCount - start)
      made.head.storeBigEndian16(sum == 0xffff ? 0xffff : ~sum, at: place)
    }
    made.offload = FrameOffload()
    made.offload.isValidated = true
    return true
  }
}

extension Frame {
  /// Bytes of the transport header and its payload: what IP says, unless that does not fit the frame. Short frames are padded.
  func transportByteCount(_ headers: FrameHeaders) -> Int {
    let end: Int
    switch headers.network {
    case .none: return 0
    case .ipv4: end = headers.networkOffset + Int(head.bigEndian16(at: headers.networkOffset + 2))
    case .ipv6: end = headers.networkOffset + 40 + Int(head.bigEndian16(at: headers.networkOffset + 4))
    }
    return (end >= headers.payloadOffset && end <= byteCount ? end : byteCount) - headers.transportOffset
  }

  /// Puts the checksum of TCP or UDP in. The whole frame is in its head, which nobody else writes to.
  func putChecksum(_ headers: FrameHeaders) {
    precondition(pieceCount == 0 && headers.transport != .none, "a frame that cannot be summed")
    let count = transportByteCount(headers)
    let place = headers.transportOffset + headers.checksumOffset
    head.storeBigEndian16(0, at: place)
    let sum = foldedSum(
      UInt64(pseudoHeaderSum(headers, transportByteCount: count)) + UInt64(head.internetSum(at: headers.transportOffset, byteCount: count)))
    // Zero would say that there is none (RFC 768); all ones is the same number.
    head.storeBigEndian16(sum == 0xffff && headers.transport == .udp ? 0xffff : ~sum, at: place)
  }
}
