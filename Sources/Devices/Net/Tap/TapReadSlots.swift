import NetPackets
import SharedMemory
import Uring

/// What reads go into: per read a header and, where the queue has its own memory, room for any frame.
struct TapReadSlots: ~Copyable {
  enum Phase { case empty, outstanding, filled }

  struct Slot {
    var phase = Phase.empty
    /// What the kernel has put there, header included.
    var byteCount = 0
    /// Names the operation to cancel.
    var userData: UInt64 = 0
  }

  /// Of the frame in a slot: a multiple of 64, so that the frame begins a cache line.
  private static let frameOffset = 64
  let count: Int
  let slots: FixedTable<Slot>
  let memory: SharedBytes
  /// The queue's own, one a slot; or what the client gave for the slot.
  let frames: FixedTable<Frame?>
  /// Per slot a header and the pieces of a frame; unused with memory of its own.
  let vectors: VectorTable
  private let stride: Int
  static let vectorsPerSlot = Frame.maximumPieceCount + 1

  init(_ tuning: TapTuning) {
    precondition(tuning.readCount > 0 && tuning.readCount & (tuning.readCount - 1) == 0, "a number of reads that is no power of two")
    count = tuning.readCount
    slots = FixedTable(repeating: Slot(), count: count)
    switch tuning.reading {
    case .staged:
      // No power of two: the first lines of all frames would meet in few sets of the cache.
      let stride = (Self.frameOffset + TapQueue.maximumFrameByteCount + 63) & ~63 + 256
      self.stride = stride
      memory = privateMemory(byteCount: stride * tuning.readCount)
      let bytes = memory
      frames = FixedTable(count: count) {
        Frame(index: $0, head: bytes.slice(at: $0 * stride + Self.frameOffset, byteCount: TapQueue.maximumFrameByteCount))
      }
      vectors = VectorTable(capacity: 0)
    case .provided:
      stride = Self.frameOffset
      memory = privateMemory(byteCount: stride * tuning.readCount)
      frames = FixedTable(repeating: nil, count: count)
      vectors = VectorTable(capacity: count * Self.vectorsPerSlot)
    }
  }

  /// Where a slot's header is; the frame follows it where the queue has its own memory.
  func headerOffset(_ slot: Int) -> Int { slot * stride + Self.frameOffset - TapQueue.headerByteCount }
}

/// Zeroed memory of this process alone.
func privateMemory(byteCount: Int) -> SharedBytes {
  do { return try SharedRegion(anonymousByteCount: byteCount).bytes } catch { fatalError("\(byteCount) bytes of memory cannot be had: \(error)") }
}

/// The reads that were last handed to the kernel together, and how many shall be next.
///
/// While every read finds a frame there are twice as many each time; when frames run out, as many as there were. A read in vain costs
/// a third of one that finds a frame.
struct TapReadBatch {
  /// How many were handed over; they are in slots 0 up to this.
  var count = 0
  var outstanding = 0
  /// The first slot that has not been handed over to the client.
  var next = 0
  var hits = 0
  var byteCount = 0
  private var wanted = 1

  /// Reads of the next batch, at most `limit` and about `byteLimit` bytes.
  mutating func advance(limit: Int, byteLimit: Int) -> Int {
    if count > 0 { wanted = hits == count ? count * 2 : max(1, hits) }
    let average = hits > 0 ? byteCount / hits : 1
    return max(1, min(wanted, limit, byteLimit / max(1, average)))
  }

  mutating func begin() {
    count = 0
    next = 0
    hits = 0
    byteCount = 0
  }
}
