public import CLinuxShims

/// A range of a ``SharedRegion``: the only way to touch memory that a peer can change at any moment.
///
/// Rules of this file, and of everything built on it:
/// 1. No pointer, `Span` or reference into shared memory leaves it (except ``address``, for the kernel).
/// 2. Each call is one access per word, which the optimiser can neither repeat nor drop. Copy once, check the copy, use the copy.
/// 3. Offsets are checked against the range; a bad one is our bug, and traps.
///
/// Holds the region, so it cannot dangle. Thread-safe as far as the accesses named here are: ordering is in their names.
@safe public struct SharedBytes: @unchecked Sendable {
  @usableFromInline let region: SharedRegion
  @usableFromInline let base: UnsafeMutableRawPointer
  /// Length of the range in bytes.
  public let byteCount: Int

  @inlinable init(region: SharedRegion, offset: Int, byteCount: Int) {
    precondition(offset >= 0 && byteCount >= 0 && offset <= region.byteCount - byteCount, "range outside its region")
    self.region = region
    // SAFETY: the region is mapped as long as `region` lives, and the range was checked to lie inside it.
    unsafe self.base = UnsafeMutableRawPointer(bitPattern: region.address)! + offset
    self.byteCount = byteCount
  }

  /// The part of `count` bytes that starts at `offset`.
  @inlinable public func slice(at offset: Int, byteCount count: Int) -> SharedBytes {
    precondition(offset >= 0 && count >= 0 && offset <= byteCount - count, "slice outside its range")
    let regionOffset = unsafe Int(UInt(bitPattern: base) - region.address) + offset
    return SharedBytes(region: region, offset: regionOffset, byteCount: count)
  }

  /// Where the range starts in this process: to be handed to the kernel (io_uring, readv), never dereferenced.
  @inlinable public var address: UInt { unsafe UInt(bitPattern: base) }

  /// Whether the mapping allows writes.
  public var isWritable: Bool { region.access == .readWrite }

  @inlinable @inline(__always) func pointer(_ offset: Int, _ width: Int) -> UnsafeMutableRawPointer {
    precondition(offset >= 0 && offset <= byteCount - width && offset & (width - 1) == 0, "access outside its range, or unaligned")
    // SAFETY: checked just above.
    return unsafe base + offset
  }
}

// MARK: - Words

extension SharedBytes {
  @inlinable public func load8(at offset: Int) -> UInt8 { unsafe pvio_load_relaxed_u8(pointer(offset, 1)) }
  @inlinable public func load16(at offset: Int) -> UInt16 { unsafe pvio_load_relaxed_u16(pointer(offset, 2)) }
  @inlinable public func load32(at offset: Int) -> UInt32 { unsafe pvio_load_relaxed_u32(pointer(offset, 4)) }
  @inlinable public func load64(at offset: Int) -> UInt64 { unsafe pvio_load_relaxed_u64(pointer(offset, 8)) }

  @inlinable public func store8(_ value: UInt8, at offset: Int) { unsafe pvio_store_relaxed_u8(pointer(offset, 1), value) }
  @inlinable public func store16(_ value: UInt16, at offset: Int) { unsafe pvio_store_relaxed_u16(pointer(offset, 2), value) }
  @inlinable public func store32(_ value: UInt32, at offset: Int) { unsafe pvio_store_relaxed_u32(pointer(offset, 4), value) }
  @inlinable public func store64(_ value: UInt64, at offset: Int) { unsafe pvio_store_relaxed_u64(pointer(offset, 8), value) }

  /// Everything the peer stored before its matching release is visible after this.
  @inlinable public func loadAcquire16(at offset: Int) -> UInt16 { unsafe pvio_load_acquire_u16(pointer(offset, 2)) }
  @inlinable public func loadAcquire32(at offset: Int) -> UInt32 { unsafe pvio_load_acquire_u32(pointer(offset, 4)) }

  /// Everything stored before is visible to a peer that acquires this value.
  @inlinable public func storeRelease16(_ value: UInt16, at offset: Int) { unsafe pvio_store_release_u16(pointer(offset, 2), value) }
  @inlinable public func storeRelease32(_ value: UInt32, at offset: Int) { unsafe pvio_store_release_u32(pointer(offset, 4), value) }

  /// Stores with release, then fences: later loads cannot be done before the store is visible. What arming an event and
  /// publishing an index need (`wmb`, store, `mb` of xen/include/public/io/ring.h).
  @inlinable public func storeAndFence32(_ value: UInt32, at offset: Int) { unsafe pvio_store_and_fence_u32(pointer(offset, 4), value) }

  /// Stores `desired` if the word holds `expected`. Returns what the word held: equal to `expected` on success. Sequentially consistent.
  @inlinable public func compareExchange16(expected: UInt16, desired: UInt16, at offset: Int) -> UInt16 {
    var seen = expected
    _ = unsafe pvio_compare_exchange_u16(pointer(offset, 2), &seen, desired)
    return seen
  }

  /// Atomically ands `mask` into the byte and returns what it held before.
  @inlinable @discardableResult public func fetchAnd8(_ mask: UInt8, at offset: Int) -> UInt8 { unsafe pvio_fetch_and_u8(pointer(offset, 1), mask) }

  /// Atomically ors `bits` into the byte and returns what it held before. A full fence.
  @inlinable @discardableResult public func fetchOr8(_ bits: UInt8, at offset: Int) -> UInt8 { unsafe pvio_fetch_or_u8(pointer(offset, 1), bits) }

  /// Atomically ands `mask` into the word and returns what it held before.
  @inlinable @discardableResult public func fetchAnd16(_ mask: UInt16, at offset: Int) -> UInt16 {
    unsafe pvio_fetch_and_u16(pointer(offset, 2), mask)
  }

  /// Atomically ors `bits` into the word and returns what it held before.
  @inlinable @discardableResult public func fetchOr16(_ bits: UInt16, at offset: Int) -> UInt16 {
    unsafe pvio_fetch_or_u16(pointer(offset, 2), bits)
  }

  /// Asks for the cache line at `offset` to be fetched for writing; only a hint.
  @inlinable public func prefetchForWriting(at offset: Int) {
    if offset >= 0, offset < byteCount { unsafe pvio_prefetch_write(base + offset) }
  }

  /// Asks for the cache lines of `count` bytes at `offset` to be fetched for reading, that of the first byte at least; only a hint.
  @inlinable public func prefetchForReading(at offset: Int, byteCount count: Int = 1) {
    guard offset >= 0, offset < byteCount else { return }
    let first = unsafe UInt(bitPattern: base + offset)
    // A hint accesses nothing and cannot fault, even behind the region's end.
    pvio_prefetch_lines_for_reading(first, first &+ UInt(bitPattern: max(1, count)))
  }
}

/// A full memory fence between the accesses before and after (`mb` of xen/include/public/io/ring.h).
@inlinable public func sharedMemoryFence() { pvio_fence() }

/// Loads before it, those of a copy too, are done before those after it (`rmb` of xen/include/public/io/ring.h).
@inlinable public func sharedMemoryLoadFence() { pvio_load_fence() }

/// Tells the processor that this is a spinning loop (`pause`).
@inlinable public func spinPause() { pvio_spin_pause() }

// MARK: - Payload

extension SharedBytes {
  /// Copies `count` bytes at `offset` out into private memory.
  public func copyOut(at offset: Int, byteCount count: Int) -> [UInt8] {
    checkRange(offset, count)
    return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      if count > 0 { unsafe buffer.baseAddress!.update(from: (base + offset).assumingMemoryBound(to: UInt8.self), count: count) }
      initialized = count
    }
  }

  /// Copies `count` bytes at `offset` out into the start of `destination`.
  @inlinable public func copyOut(at offset: Int, byteCount count: Int, to destination: UnsafeMutableRawBufferPointer) {
    checkRange(offset, count)
    precondition(count <= destination.count)
    if count > 0 { unsafe memcpy(destination.baseAddress!, base + offset, count) }
  }

  /// Copies private memory in at `offset`.
  @inlinable public func copyIn(_ source: UnsafeRawBufferPointer, at offset: Int) {
    checkRange(offset, source.count)
    if source.count > 0 { unsafe memcpy(base + offset, source.baseAddress!, source.count) }
  }

  /// Copies private bytes in at `offset`.
  public func copyIn(_ source: [UInt8], at offset: Int) {
    unsafe source.withUnsafeBytes { unsafe copyIn($0, at: offset) }
  }

  /// Copies `count` bytes from another shared range; the two must not overlap.
  @inlinable @inline(__always) public func copy(from source: SharedBytes, sourceOffset: Int, to offset: Int, byteCount count: Int) {
    source.checkRange(sourceOffset, count)
    checkRange(offset, count)
    unsafe copyBytes(base + offset, source.base + sourceOffset, count)
  }

  /// Fills `count` bytes at `offset` with zeros.
  public func zero(at offset: Int, byteCount count: Int) {
    checkRange(offset, count)
    unsafe memset(base + offset, 0, count)
  }

  /// Bytes up to which a copy is done in place instead of by a call of the library's: what the call costs is more than what it saves.
  @inlinable static var shortByteCount: Int { 128 }

  /// Copies `count` bytes between two places that do not overlap.
  @inlinable @inline(__always) func copyBytes(_ to: UnsafeMutableRawPointer, _ from: UnsafeRawPointer, _ count: Int) {
    // SAFETY: the caller has checked both places.
    if count <= Self.shortByteCount { unsafe pvio_copy_short(to, from, count) } else { unsafe memcpy(to, from, count) }
  }

  @inlinable @inline(__always) func checkRange(_ offset: Int, _ count: Int) {
    precondition(offset >= 0 && count >= 0 && offset <= byteCount - count, "copy outside its range")
  }
}
