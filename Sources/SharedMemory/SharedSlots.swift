public import CLinuxShims

/// A power-of-two number of equal entries in shared memory, addressed by free-running indices.
///
/// The whole table is checked when it is made, and an index is masked, so that no access to an entry can leave it: what a
/// ring does per entry needs no bounds check.
@safe public struct SharedSlots: @unchecked Sendable {
  @usableFromInline let region: SharedRegion
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline let mask: UInt32
  /// Distance from one entry to the next in bytes, a multiple of four.
  public let slotByteCount: Int

  /// Number of entries.
  @inlinable public var count: UInt32 { mask &+ 1 }

  /// The `count` entries that start at `offset` of `bytes`, a multiple of four. Traps when they do not fit.
  public init(_ bytes: SharedBytes, at offset: Int, slotByteCount: Int, count: UInt32) {
    precondition(count.nonzeroBitCount == 1, "the number of slots is a power of two")
    precondition(slotByteCount > 0 && slotByteCount & 3 == 0, "slots are made of 32-bit words")
    // `slice` traps when the table leaves its range.
    let table = bytes.slice(at: offset, byteCount: Int(count) * slotByteCount)
    precondition(table.address & 3 == 0, "slots are aligned to words")
    region = table.region
    unsafe base = table.base
    mask = count - 1
    self.slotByteCount = slotByteCount
  }

  /// Lends the first `byteCount` bytes of the entry that `index` addresses modulo ``count``.
  @inlinable @inline(__always)
  public func withSlot<Result: ~Copyable, Failure: Error>(
    _ index: UInt32, byteCount: Int, _ body: (borrowing SharedSlot) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(byteCount <= slotByteCount, "a record larger than its slot")
    // SAFETY: the masked index is below `count`, and `count * slotByteCount` bytes from `base` were checked to be
    // inside the region, which stays mapped because `self` holds it.
    return try unsafe body(SharedSlot(base + Int(index & mask) &* slotByteCount, byteCount))
  }

  /// Asks for the first cache line of an entry to be fetched for writing; only a hint.
  @inlinable @inline(__always) public func prefetchForWriting(_ index: UInt32) {
    // SAFETY: inside the table, as in `withSlot`.
    unsafe pvio_prefetch_write(base + Int(index & mask) &* slotByteCount)
  }
}
