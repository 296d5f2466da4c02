import SharedMemory

extension SharedBytes {
  /// The sum of 16-bit words in the order of the network, folded and not inverted (RFC 1071); an odd last byte counts as if a zero
  /// followed. Only for memory that nobody else writes to.
  ///
  /// - Precondition: `offset` is even, as the places of all headers behind Ethernet's are.
  func internetSum(at offset: Int, byteCount count: Int) -> UInt16 {
    precondition(offset & 1 == 0, "an odd place")
    var position = offset
    let end = offset + count
    // Summed as the processor has the words: the order of bytes is put right once, at the end (RFC 1071, section 2 B).
    var sum: UInt64 = 0
    while position & 7 != 0, position + 2 <= end {
      sum += UInt64(load16(at: position))
      position += 2
    }
    // Halves of 32 bits: 2^32 of them fit before anything is lost.
    while position + 8 <= end {
      let word = load64(at: position)
      sum += (word & 0xffff_ffff) + word >> 32
      position += 8
    }
    while position + 2 <= end {
      sum += UInt64(load16(at: position))
      position += 2
    }
    if position < end { sum += UInt64(UInt16(bigEndian: UInt16(load8(at: position)) << 8)) }
    return UInt16(bigEndian: foldedSum(sum))
  }
}
