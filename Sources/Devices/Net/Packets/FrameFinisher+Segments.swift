import SharedMemory

extension FrameFinisher {
  /// Cuts a large TCP or UDP frame into segments of at most ``FrameOffload/segmentByteCount`` bytes of payload.
  func cut(_ frame: Frame, for capabilities: FrameCapabilities, _ deliver: (Frame) -> Void) -> Bool {
    let headers = FrameHeaders(of: frame)
    let limit = Int(frame.offload.segmentByteCount)
    guard headers.transport != .none, limit > 0, headers.allow(frame.offload.segmentation) else { return false }
    let payload = frame.transportByteCount(headers) - (headers.payloadOffset - headers.transportOffset)
    guard payload <= limit * Self.maximumSegmentCount else { return false }
    // The lengths of IP have 16 bits.
    guard headers.payloadOffset - headers.networkOffset + min(limit, payload) <= 0xffff else { return false }
    let leavesChecksum = capabilities.takesChecksum(of: headers.network)
    var done = 0
    var number: UInt16 = 0
    repeat {
      let count = min(limit, payload - done)
      make(headers, of: frame, from: done, byteCount: count, number: number, isLast: done + count == payload)
      if leavesChecksum {
        made.offload.needsChecksum = true
        made.offload.checksumStart = UInt16(headers.transportOffset)
        made.offload.checksumOffset = UInt16(headers.checksumOffset)
        made.putPseudoHeaderSum()
      } else {
        made.putChecksum(headers)
        made.offload.isValidated = true
      }
      deliver(made)
      done += count
      number &+= 1
    } while done < payload
    return true
  }

  private func make(_ headers: FrameHeaders, of frame: Frame, from start: Int, byteCount count: Int, number: UInt16, isLast: Bool) {
    let head = made.head
    made.reset(headByteCount: headers.payloadOffset + count)
    made.sender = frame.sender
    frame.copy(from: 0, byteCount: headers.payloadOffset, to: head, at: 0)
    frame.copy(from: headers.payloadOffset + start, byteCount: count, to: head, at: headers.payloadOffset)
    let network = headers.networkOffset
    if headers.network == .ipv4 {
      head.storeBigEndian16(UInt16(truncatingIfNeeded: made.byteCount - network), at: network + 2)
      head.storeBigEndian16(head.bigEndian16(at: network + 4) &+ number, at: network + 4)
      head.storeBigEndian16(0, at: network + 10)
      let byteCount = Int(head.load8(at: network) & 15) * 4
      head.storeBigEndian16(~head.internetSum(at: network, byteCount: byteCount), at: network + 10)
    } else {
      head.storeBigEndian16(UInt16(truncatingIfNeeded: made.byteCount - network - 40), at: network + 4)
    }
    let transport = headers.transportOffset
    guard headers.transport == .tcp else {
      head.storeBigEndian16(UInt16(truncatingIfNeeded: made.byteCount - transport), at: transport + 4)
      return
    }
    let sequence = head.bigEndian32(at: transport + 4) &+ UInt32(start)
    head.storeBigEndian16(UInt16(sequence >> 16), at: transport + 4)
    head.storeBigEndian16(UInt16(truncatingIfNeeded: sequence), at: transport + 6)
    var flags = head.load8(at: transport + 13)
    if !isLast { flags &= ~(TCPFlag.fin | TCPFlag.push) }
    if start > 0 { flags &= ~TCPFlag.congestionWindowReduced }
    head.store8(flags, at: transport + 13)
  }
}

/// Flags that only one segment of several has (RFC 9293, RFC 3168).
private enum TCPFlag {
  static let fin: UInt8 = 0x01
  static let push: UInt8 = 0x08
  static let congestionWindowReduced: UInt8 = 0x80
}
