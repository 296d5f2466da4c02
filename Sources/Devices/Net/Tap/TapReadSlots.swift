import LinuxSystem
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
    /// A tag that came beside the frame has been put in: the frame is the one in ``taggedFrames``.
    var isTagged = false
  }

  /// Of the frame in a slot: a multiple of 64, so that the frame begins a cache line.
  private static let frameOffset = 64
  let count: Int
  let slots: FixedTable<Slot>
  let memory: SharedBytes
  /// The queue's own, one a slot; or what the client gave for the slot.
  let frames: FixedTable<Frame?>
  /// For packet sockets: per slot a frame that begins a tag's length earlier.
  let taggedFrames: FixedTable<Frame?>
  /// For packet sockets: what is received into a slot, header and frame, and what comes beside it.
  let messages: ReceiveMessages
  private let medium: TapQueue.Medium
  /// Per slot a header and the pieces of a frame; unused with memory of its own.
  let vectors: VectorTable
  private let stride: Int
  static let vectorsPerSlot = Frame.maximumPieceCount + 1

  init(_ tuning: TapTuning, _ medium: TapQueue.Medium) {
    self.medium = medium
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
      let isPacketSocket = medium == .packetSocket
      taggedFrames = FixedTable(count: isPacketSocket ? count : 1) { slot in
        guard isPacketSocket else { return nil }
        return Frame(index: slot, head: bytes.slice(at: slot * stride + Self.frameOffset - 4, byteCount: TapQueue.maximumFrameByteCount + 4))
      }
      messages = ReceiveMessages(
        count: isPacketSocket ? count : 0, vectorsPerMessage: 2, controlByteCount: PacketSocket.controlByteCount)
      for slot in 0..<messages.count {
        messages.vectors[slot * 2] = (bytes.vector(at: slot * stride, byteCount: PacketSocket.headerByteCount).address, PacketSocket.headerByteCount)
        let frame = bytes.vector(at: slot * stride + Self.frameOffset, byteCount: TapQueue.maximumFrameByteCount)
        messages.vectors[slot * 2 + 1] = (frame.address, frame.byteCount)
      }
    case .provided:
      stride = Self.frameOffset
      memory = privateMemory(byteCount: stride * tuning.readCount)
      frames = FixedTable(repeating: nil, count: count)
      vectors = VectorTable(capacity: count * Self.vectorsPerSlot)
      taggedFrames = FixedTable(repeating: nil, count: 1)
      messages = ReceiveMessages(count: 0, vectorsPerMessage: 2, controlByteCount: PacketSocket.controlByteCount)
    }
  }

  /// Where a slot's header is; the frame follows it where the queue has its own memory, unless there must be room for a tag between.
  func headerOffset(_ slot: Int) -> Int {
    switch medium {
    case .tap: slot * stride + Self.frameOffset - TapQueue.headerByteCount
    case .packetSocket: slot * stride
    }
  }

  /// The frame in a slot of a packet socket, with the tag that the kernel has taken off put back (`struct tpacket_auxdata`).
  func packetFrame(_ slot: Int) -> Frame? {
    if !slots[slot].isTagged {
      let (status, tag) = (auxiliary(slot, word: 0) ?? 0, auxiliary(slot, word: 4) ?? 0)
      guard status & Auxiliary.hasTag != 0 else { return frames[slot] }
      let start = slot * stride + Self.frameOffset
      for word in 0..<3 { memory.store32(memory.load32(at: start + word * 4), at: start + word * 4 - 4) }
      let type = status & Auxiliary.hasTagType != 0 ? UInt16(truncatingIfNeeded: tag >> 16) : 0x8100
      memory.store16(type.bigEndian, at: start + 8)
      memory.store16(UInt16(truncatingIfNeeded: tag).bigEndian, at: start + 10)
      slots[slot].isTagged = true
    }
    return taggedFrames[slot]
  }

  /// A word of the structure: 0 is the status, 4 the tag and its type.
  private func auxiliary(_ slot: Int, word: Int) -> UInt32? {
    messages.control(slot, level: PacketSocket.controlLevel, type: PacketSocket.auxiliaryData, word: word)
  }

  /// `TP_STATUS_VLAN_VALID`, `TP_STATUS_VLAN_TPID_VALID` (linux/if_packet.h).
  private enum Auxiliary {
    static let hasTag: UInt32 = 1 << 4, hasTagType: UInt32 = 1 << 6
  }
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
