import SharedMemory
import SharedRing
import SystemPackage

/// Private memory between a ring and a descriptor that may not take what is in it: the newest bytes, as many as fit.
final class ByteSpool {
  private let memory: SharedBytes
  /// Positions since the beginning; a byte lies at its position modulo the size.
  private var start: UInt64 = 0
  private var end: UInt64 = 0

  init(byteCount: Int) throws(Errno) {
    precondition(byteCount > 0 && byteCount.nonzeroBitCount == 1, "the size of a spool is a power of two")
    memory = try SharedRegion(anonymousByteCount: max(byteCount, 4096)).bytes.slice(at: 0, byteCount: byteCount)
  }

  var byteCount: Int { Int(end - start) }
  var freeByteCount: Int { memory.byteCount - byteCount }

  /// Takes what the ring has, as far as it fits, and hands each stretch to `look`.
  func fill(
    from consumer: inout ByteStreamConsumer, limit: Int, _ look: (SharedBytes, _ offset: Int, _ count: Int) -> Void
  ) throws(ByteStreamFault) -> Int {
    var total = 0
    while total < limit, freeByteCount > 0 {
      let offset = Int(end & UInt64(memory.byteCount - 1))
      let count = try consumer.take(to: memory, at: offset, limit: min(limit - total, freeByteCount, memory.byteCount - offset))
      if count == 0 { break }
      look(memory, offset, count)
      end += UInt64(count)
      total += count
    }
    return total
  }

  /// The oldest bytes, for the kernel.
  var filled: ByteStreamVectors {
    let offset = Int(start & UInt64(memory.byteCount - 1))
    let first = min(byteCount, memory.byteCount - offset)
    return ByteStreamVectors(first: memory.vector(at: offset, byteCount: first), second: memory.vector(at: 0, byteCount: byteCount - first))
  }

  /// Lets go of the oldest `count` bytes.
  func drop(_ count: Int) {
    precondition(count >= 0 && count <= byteCount, "more bytes dropped than there are")
    start += UInt64(count)
  }
}
