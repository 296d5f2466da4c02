public import SharedMemory
public import XenInterface
public import XenPlatform

/// Filling and reading buffers. The peer may change the bytes at any moment: what is copied out is what counts.
extension IOBufferPool {
  /// Calls `body` for each stretch of memory that `count` bytes at `offset` of `buffer` consist of, in order. Neighbouring
  /// pages come as one stretch.
  @inlinable public func forEachStretch(of buffer: IOBuffer, at offset: Int, byteCount count: Int, _ body: (_ arenaOffset: Int, _ byteCount: Int) -> Void) {
    precondition(offset >= 0 && count >= 0 && offset + count <= Int(buffer.pageCount) * pageByteCount, "stretch outside the buffer")
    var page = buffer.firstPage
    for _ in 0..<offset / pageByteCount { page = pages[Int(page)].next }
    var start = Int(page) * pageByteCount + offset % pageByteCount
    var length = 0
    var remaining = count
    var room = pageByteCount - offset % pageByteCount
    while remaining > 0 {
      let taken = min(room, remaining)
      length += taken
      remaining -= taken
      if remaining == 0 { break }
      let next = pages[Int(page)].next
      if next != page + 1 {
        body(start, length)
        start = Int(next) * pageByteCount
        length = 0
      }
      page = next
      room = pageByteCount
    }
    if length > 0 { body(start, length) }
  }

  /// As ``forEachStretch(of:at:byteCount:_:)``, by address, for the kernel.
  @inlinable public func forEachVector(of buffer: IOBuffer, at offset: Int, byteCount count: Int, _ body: (SharedVector) -> Void) {
    forEachStretch(of: buffer, at: offset, byteCount: count) { arenaOffset, length in
      body(arena.bytes.vector(at: arenaOffset, byteCount: length))
    }
  }

  /// Copies `count` bytes of `array`, from `index` on, to the start of `buffer`.
  public func fill(_ buffer: IOBuffer, from array: [UInt8], at index: Int, byteCount count: Int) {
    var position = index
    forEachStretch(of: buffer, at: 0, byteCount: count) { offset, length in
      arena.bytes.copyIn(array, from: position, byteCount: length, at: offset)
      position += length
    }
  }

  /// Copies `count` bytes of `source`, from `sourceOffset` on, into `buffer` at `offset`.
  public func fill(_ buffer: IOBuffer, at offset: Int, from source: SharedBytes, at sourceOffset: Int, byteCount count: Int) {
    var position = sourceOffset
    forEachStretch(of: buffer, at: offset, byteCount: count) { offset, length in
      arena.bytes.copy(from: source, sourceOffset: position, to: offset, byteCount: length)
      position += length
    }
  }

  /// Fills all of `buffer` with zeros.
  public func zero(_ buffer: IOBuffer) {
    forEachStretch(of: buffer, at: 0, byteCount: buffer.byteCount) { arena.bytes.zero(at: $0, byteCount: $1) }
  }

  /// Copies the first `count` bytes of `buffer` into `array`, from `index` on.
  public func copy(_ buffer: IOBuffer, into array: inout [UInt8], at index: Int, byteCount count: Int) {
    var position = index
    forEachStretch(of: buffer, at: 0, byteCount: count) { offset, length in
      arena.bytes.copyOut(at: offset, byteCount: length, into: &array, at: position)
      position += length
    }
  }

  /// Copies all of `source`, a buffer of another pool, to `buffer`.
  func copy(_ source: IOBuffer, of other: IOBufferPool, to buffer: IOBuffer) {
    var from = source.firstPage
    var to = buffer.firstPage
    var remaining = source.byteCount
    while remaining > 0 {
      let length = min(remaining, pageByteCount)
      arena.bytes.copy(from: other.arena.bytes, sourceOffset: Int(from) * pageByteCount, to: Int(to) * pageByteCount, byteCount: length)
      from = other.pages[Int(from)].next
      to = pages[Int(to)].next
      remaining -= length
    }
  }
}
