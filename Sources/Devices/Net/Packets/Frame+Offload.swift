import SharedMemory

extension Frame {
  /// Finds out where the checksum of a frame belongs that has none yet, and remembers it in ``offload``. False when the headers do
  /// not say, or do not allow what is to be done with the frame: then it must not be passed on.
  public func locateChecksum() -> Bool {
    if !offload.needsChecksum { return offload.segmentation == .none }
    let headers = FrameHeaders(of: self)
    guard headers.transport != .none, headers.allow(offload.segmentation) else { return false }
    offload.checksumStart = UInt16(headers.transportOffset)
    offload.checksumOffset = UInt16(headers.checksumOffset)
    return true
  }

  /// Puts the sum of the pseudo header where the checksum belongs (``locateChecksum()`` has found it): what a receiver that completes
  /// the checksum starts from.
  public func putPseudoHeaderSum() {
    let headers = FrameHeaders(of: self)
    precondition(headers.transport != .none, "a frame without a transport header")
    let sum = pseudoHeaderSum(headers, transportByteCount: byteCount - headers.transportOffset)
    head.storeBigEndian16(sum, at: headers.transportOffset + headers.checksumOffset)
  }

  /// The sum of addresses, protocol and length of the transport part, folded to 16 bits and not inverted (RFC 793, RFC 8200).
  func pseudoHeaderSum(_ headers: FrameHeaders, transportByteCount: Int) -> UInt16 {
    var sum = UInt64(transportByteCount)
    sum += UInt64(headers.transport == .tcp ? IPProtocol.tcp : IPProtocol.udp)
    let addresses = headers.network == .ipv4 ? headers.networkOffset + 12..<headers.networkOffset + 20
      : headers.networkOffset + 8..<headers.networkOffset + 40
    for offset in stride(from: addresses.lowerBound, to: addresses.upperBound, by: 2) { sum += UInt64(head.bigEndian16(at: offset)) }
    return foldedSum(sum)
  }
}

/// Adds the carries of a sum of 16-bit words back in until there are none (RFC 1071).
@inlinable func foldedSum(_ sum: UInt64) -> UInt16 {
  var sum = sum
  while sum >> 16 != 0 { sum = (sum & 0xffff) + (sum >> 16) }
  return UInt16(sum)
}
