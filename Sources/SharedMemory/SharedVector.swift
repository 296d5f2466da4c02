public import CLinuxShims

/// A checked stretch of shared memory, by address: what a scatter-gather list is made of.
///
/// It is trivially copyable and does not keep its region mapped, so it must not outlive the mapping it was taken from.
/// The kernel may be given it freely (a stale one faults with `EFAULT` there); touching it from here is `unsafe`.
@frozen public struct SharedVector: Sendable, Equatable {
  /// First byte, in this process's address space.
  public var address: UInt
  /// Length in bytes.
  public var byteCount: Int

  @inlinable public init(address: UInt, byteCount: Int) {
    self.address = address
    self.byteCount = byteCount
  }
}

extension SharedVector {
  /// Asks for its cache lines to be fetched for writing; only a hint.
  @inlinable @inline(__always) public func prefetchForWriting() {
    guard byteCount > 0 else { return }
    // A hint accesses nothing and cannot fault, whatever the address.
    pvio_prefetch_lines_for_writing(address, address &+ UInt(bitPattern: byteCount))
  }
}

extension SharedBytes {
  /// The stretch of `count` bytes at `offset`, by address.
  @inlinable public func vector(at offset: Int, byteCount count: Int) -> SharedVector {
    checkRange(offset, count)
    // SAFETY: only the number is taken; nothing is accessed.
    return SharedVector(address: unsafe UInt(bitPattern: base) + UInt(offset), byteCount: count)
  }

  /// Copies all of `source` in at `offset`.
  /// - Safety: the mapping that `source` was taken from must still exist.
  @inlinable @inline(__always) @unsafe public func copyIn(_ source: SharedVector, at offset: Int) {
    checkRange(offset, source.byteCount)
    // SAFETY: our range was checked just above; the source is mapped, as the caller promises.
    if source.byteCount > 0 { unsafe copyBytes(base + offset, UnsafeRawPointer(bitPattern: source.address)!, source.byteCount) }
  }

  /// Copies as many bytes as `destination` holds from `offset` out to it.
  /// - Safety: the mapping that `destination` was taken from must still exist and be writable.
  @inlinable @inline(__always) @unsafe public func copyOut(at offset: Int, to destination: SharedVector) {
    checkRange(offset, destination.byteCount)
    // SAFETY: our range was checked just above; the destination is mapped and writable, as the caller promises.
    if destination.byteCount > 0 {
      unsafe copyBytes(UnsafeMutableRawPointer(bitPattern: destination.address)!, base + offset, destination.byteCount)
    }
  }
}
