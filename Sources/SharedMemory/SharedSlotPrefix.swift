public import CLinuxShims
public import XenInterface

/// The start of a slot whose first word was copied already: the rest of a record is copied only as far as that word says
/// that it is defined, and everything behind reads as zero without touching shared memory.
///
/// A slot's unused end shares cache lines with entries that the peer is writing just then; not looking at it is what makes
/// this faster than a full copy. Every word is still loaded at most once.
@safe public struct SharedSlotPrefix: ~Copyable {
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline let definedByteCount: Int
  @usableFromInline let firstWord: UInt64

  @inlinable @inline(__always) init(_ base: UnsafeMutableRawPointer, definedByteCount: Int, firstWord: UInt64) {
    unsafe self.base = base
    self.definedByteCount = definedByteCount
    self.firstWord = firstWord
  }
}

extension SharedSlotPrefix: WireSource {
  @inlinable @inline(__always) public func loadWord64(at offset: Int) -> UInt64 {
    if offset == 0 { return firstWord }
    precondition(offset >= 8 && offset & 3 == 0, "inside the first word, or unaligned")
    if offset > definedByteCount - 8 { return 0 }
    // SAFETY: the word lies inside the defined part, which `withPrefix` checked to lie inside the slot.
    return unsafe pvio_load_word_u64(base + offset)
  }

  @inlinable @inline(__always) public func loadWord32(at offset: Int) -> UInt32 {
    if offset == 0 { return UInt32(truncatingIfNeeded: firstWord) }
    if offset == 4 { return UInt32(truncatingIfNeeded: firstWord &>> 32) }
    precondition(offset >= 8 && offset & 3 == 0, "inside the first word, or unaligned")
    if offset > definedByteCount - 4 { return 0 }
    // SAFETY: as above.
    return unsafe pvio_load_relaxed_u32(base + offset)
  }
}

extension SharedSlot {
  /// Loads the first 64-bit word, asks `definedByteCount` how long the record is that starts with it, and lends that part.
  /// The answer is clamped to the slot. A 64-bit word that is only partly defined reads as zero.
  @inlinable @inline(__always)
  public func withPrefix<Result>(definedByteCount: (UInt64) -> Int, _ body: (borrowing SharedSlotPrefix) -> Result) -> Result {
    let firstWord = loadWord64(at: 0)
    let defined = min(max(definedByteCount(firstWord), 8), byteCount)
    // SAFETY: `defined` was clamped to this slot, whose own range was checked when it was lent.
    return unsafe body(SharedSlotPrefix(base, definedByteCount: defined, firstWord: firstWord))
  }
}
