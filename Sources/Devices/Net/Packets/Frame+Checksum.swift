import SharedMemory

extension Frame {
  /// Finishes the checksum that the sender has left to do, for a receiver that cannot: sums everything from `checksumStart` to the end, where
  /// the sum of the pseudo header is in the field already (RFC 1071). False when the field is not in the head.
  ///
  /// The pieces must not change meanwhile: only for frames whose memory is private.
  public func completeChecksum() -> Bool {
    let start = Int(offload.checksumStart)
    let field = start + Int(offload.checksumOffset)
    guard offload.needsChecksum, offload.segmentation == .none, start > 0, field + 2 <= headByteCount else { return false }
    var sum: UInt64 = 0
    forEachStretch(from: start, byteCount: byteCount - start) { stretch, position in
      // SAFETY: whoever appended a piece keeps it mapped; the stretch is within the head or a piece.
      let part = unsafe internetSum(UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: stretch.address), count: stretch.byteCount))
      // A stretch that begins within a word has its bytes the other way round.
      sum += UInt64(position & 1 == 0 ? part : part.byteSwapped)
    }
    var checksum = ~foldedSum(sum)
    // No checksum at all, in UDP (RFC 768).
    if checksum == 0, offload.checksumOffset == 6 { checksum = 0xffff }
    head.storeBigEndian16(checksum, at: field)
    offload.needsChecksum = false
    offload.isValidated = true
    return true
  }
}

/// The sum of the bytes as 16-bit words in the order of the network, folded.
private func internetSum(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
  var sum: UInt64 = 0
  var offset = 0
  // Words of four bytes: the order of the bytes in a word does not matter to the sum but at its end.
  while offset + 4 <= bytes.count {
    // SAFETY: four bytes are left.
    sum += UInt64(unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    offset += 4
  }
  // Sums of 32-bit words fold to those of 16-bit words, in the machine's order: little-endian wherever this runs.
  var folded = foldedSum(sum).byteSwapped
  while offset < bytes.count {
    // SAFETY: `offset` is below the count.
    let byte = unsafe UInt64(bytes[offset])
    folded = foldedSum(UInt64(folded) + (offset & 1 == 0 ? byte << 8 : byte))
    offset += 1
  }
  return folded
}
