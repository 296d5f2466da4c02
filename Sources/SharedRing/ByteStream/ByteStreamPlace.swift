public import SharedMemory

/// Where the two indices and the bytes of one direction lie: what sets one protocol's byte ring apart from another's.
public struct ByteStreamLayout: Hashable, Sendable {
  /// Offset of the producer's index in the memory that holds the indices.
  public let producerOffset: Int
  /// Offset of the consumer's index there.
  public let consumerOffset: Int
  /// Offset of the first byte in the memory that holds the bytes.
  public let dataOffset: Int
  /// Bytes that the ring holds: a power of two, at most 2³¹.
  public let byteCount: Int

  /// Traps when `byteCount` is no power of two, or an offset is not that of an aligned word.
  public init(producerOffset: Int, consumerOffset: Int, dataOffset: Int, byteCount: Int) {
    precondition(byteCount > 0 && byteCount <= 1 << 31 && byteCount.nonzeroBitCount == 1, "the size of a byte ring is a power of two")
    precondition(producerOffset >= 0 && consumerOffset >= 0 && dataOffset >= 0, "offsets are counted from the start")
    precondition(producerOffset & 3 == 0 && consumerOffset & 3 == 0, "indices are aligned words")
    self.producerOffset = producerOffset
    self.consumerOffset = consumerOffset
    self.dataOffset = dataOffset
    self.byteCount = byteCount
  }
}

/// One direction of a byte stream in shared memory. Both of its ends are made from it.
public struct ByteStreamPlace: Sendable {
  @usableFromInline let indices: SharedBytes
  /// Exactly the ring's bytes.
  @usableFromInline let data: SharedBytes
  @usableFromInline let producerOffset: Int
  @usableFromInline let consumerOffset: Int
  @usableFromInline let byteCount: UInt32

  /// The place that `layout` describes in `indices` and `data`, which may be the same memory. Traps when it does not lie inside.
  public init(_ layout: ByteStreamLayout, indices: SharedBytes, data: SharedBytes) {
    precondition(
      layout.producerOffset <= indices.byteCount - 4 && layout.consumerOffset <= indices.byteCount - 4, "the indices lie outside their memory")
    self.indices = indices
    // `slice` traps when the ring leaves its memory.
    self.data = data.slice(at: layout.dataOffset, byteCount: layout.byteCount)
    producerOffset = layout.producerOffset
    consumerOffset = layout.consumerOffset
    byteCount = UInt32(layout.byteCount)
  }

  /// Both indices to zero: what the side that makes the ring does before it shares it.
  public func initialize() {
    indices.store32(0, at: producerOffset)
    indices.store32(0, at: consumerOffset)
  }

  /// The two stretches of the ring that `count` bytes from a free-running index on lie in; the second is empty unless they wrap.
  @inlinable func stretches(from index: UInt32, count: Int) -> (offset: Int, first: Int, second: Int) {
    let offset = Int(index & (byteCount &- 1))
    let first = min(count, Int(byteCount) - offset)
    return (offset, first, count - first)
  }

  /// The same by address, for the kernel.
  @inlinable func vectors(from index: UInt32, count: Int) -> ByteStreamVectors {
    let stretches = stretches(from: index, count: count)
    return ByteStreamVectors(
      first: data.vector(at: stretches.offset, byteCount: stretches.first), second: data.vector(at: 0, byteCount: stretches.second))
  }
}

/// A part of a ring, by address: for the kernel to read from or write to, as long as the memory is mapped.
@frozen public struct ByteStreamVectors: Sendable, Equatable {
  public let first: SharedVector
  /// What goes on at the ring's start; empty unless the part wraps.
  public let second: SharedVector

  @inlinable public init(first: SharedVector, second: SharedVector) {
    self.first = first
    self.second = second
  }

  @inlinable public var byteCount: Int { first.byteCount + second.byteCount }
}

/// The peer's index cannot be: it is more than a ring's length away from ours, or behind it.
///
/// Nothing in the ring can be trusted after that, until both ends begin again.
public struct ByteStreamFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// Free-running, as both were at that moment.
  public let producer: UInt32
  public let consumer: UInt32
  /// Of the ring.
  public let byteCount: UInt32

  public init(producer: UInt32, consumer: UInt32, byteCount: UInt32) {
    self.producer = producer
    self.consumer = consumer
    self.byteCount = byteCount
  }

  public var description: String { "a ring's producer \(producer) and consumer \(consumer) are not within \(byteCount) bytes" }
}
