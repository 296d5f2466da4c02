public import CLinuxShims
public import XenInterface

/// Wire records copy straight out of and into shared memory: one access a word, so a record is a snapshot of what the
/// peer wrote, whatever the peer does meanwhile. 64-bit words need only be aligned to four bytes.
extension SharedBytes: WireSource, WireSink {
  @inlinable public func loadWord64(at offset: Int) -> UInt64 {
    // SAFETY: `wordPointer` checks the range and the alignment.
    unsafe pvio_load_word_u64(wordPointer(offset, 8))
  }

  @inlinable public func loadWord32(at offset: Int) -> UInt32 { load32(at: offset) }

  @inlinable public func storeWord64(_ value: UInt64, at offset: Int) {
    // SAFETY: `wordPointer` checks the range and the alignment.
    unsafe pvio_store_word_u64(wordPointer(offset, 8), value)
  }

  @inlinable public func storeWord32(_ value: UInt32, at offset: Int) { store32(value, at: offset) }

  @inlinable @inline(__always) func wordPointer(_ offset: Int, _ width: Int) -> UnsafeMutableRawPointer {
    precondition(offset >= 0 && offset <= byteCount - width && offset & 3 == 0, "access outside its range, or unaligned")
    // SAFETY: checked just above.
    return unsafe base + offset
  }
}
