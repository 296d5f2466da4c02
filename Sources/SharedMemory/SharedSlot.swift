public import CLinuxShims
public import XenInterface

/// One entry of a ring or table while it is copied: a range that was checked as a whole, so that with constant offsets
/// the checks of its words fold away.
///
/// Not copyable, and only ever lent (``SharedBytes/withSlot(at:byteCount:_:)``), so that it cannot outlive the mapping.
@safe public struct SharedSlot: ~Copyable {
  @usableFromInline let base: UnsafeMutableRawPointer
  /// Length of the entry in bytes.
  public let byteCount: Int

  @inlinable @inline(__always) init(_ base: UnsafeMutableRawPointer, _ byteCount: Int) {
    unsafe self.base = base
    self.byteCount = byteCount
  }

  @inlinable @inline(__always) func pointer(_ offset: Int, _ width: Int) -> UnsafeMutableRawPointer {
    precondition(offset >= 0 && offset <= byteCount - width && offset & 3 == 0, "access outside its slot, or unaligned")
    // SAFETY: checked just above; the slot's own range was checked when it was lent.
    return unsafe base + offset
  }
}

/// One access a word. 64-bit words need only be aligned to four bytes, as the 32-bit ABI lays them out.
extension SharedSlot: WireSource, WireSink {
  @inlinable @inline(__always) public func loadWord64(at offset: Int) -> UInt64 {
    // SAFETY: `pointer` checks the range and the alignment.
    unsafe pvio_load_word_u64(pointer(offset, 8))
  }

  @inlinable @inline(__always) public func loadWord32(at offset: Int) -> UInt32 {
    // SAFETY: `pointer` checks the range and the alignment.
    unsafe pvio_load_relaxed_u32(pointer(offset, 4))
  }

  @inlinable @inline(__always) public func storeWord64(_ value: UInt64, at offset: Int) {
    // SAFETY: `pointer` checks the range and the alignment.
    unsafe pvio_store_word_u64(pointer(offset, 8), value)
  }

  @inlinable @inline(__always) public func storeWord32(_ value: UInt32, at offset: Int) {
    // SAFETY: `pointer` checks the range and the alignment.
    unsafe pvio_store_relaxed_u32(pointer(offset, 4), value)
  }
}

extension SharedBytes {
  /// Lends `count` bytes at `offset`, a multiple of four, to `body` as one entry.
  @inlinable @inline(__always)
  public func withSlot<Result: ~Copyable, Failure: Error>(
    at offset: Int, byteCount count: Int, _ body: (borrowing SharedSlot) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(
      offset >= 0 && count >= 0 && offset <= byteCount - count && UInt(truncatingIfNeeded: offset) & 3 == 0, "slot outside its range, or unaligned")
    // SAFETY: checked just above; the region stays mapped during the call because `self` holds it.
    return try unsafe body(SharedSlot(base + offset, count))
  }
}
