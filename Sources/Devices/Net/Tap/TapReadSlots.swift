import LinuxSystem
import NetPackets
import SharedMemory
import Uring

/// What reads go into: the queue's own memory, or what its client has given.
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
  /// From slot to slot. No multiple of a page: the first lines of all frames would meet in few sets of the cache.
  private static let stride = (frameOffset + TapQueue.maximumFrameByteCount + 63) & ~63 + 256
  static let vectorsPerSlot = Frame.maximumPieceCount + 1

  let count: Int
  let slots: FixedTable<Slot>
  /// Per slot a header, and room for any frame behind it.
  let memory: SharedBytes
  /// Where ``memory`` is: it is kept as long as this is.
  private let address: UInt
  /// The frames there.
  private let frames: FixedObjects<Frame>
  /// For packet sockets: per slot a frame that begins a tag's length earlier.
  private let taggedFrames: FixedTable<Frame?>
  /// For packet sockets: what is received into a slot, header and frame, and what comes beside it.
  let messages: ReceiveMessages
  /// What the client has given for a slot.
  let lent: FixedTable<Frame?>
  /// Per slot that the client may give a buffer for: the header, and the buffer's pieces.
  let vectors: VectorTable
  private let medium: TapQueue.Medium

  init(_ tuning: TapTuning, _ medium: TapQueue.Medium) {
    self.medium = medium
    precondition(tuning.readCount > 0 && tuning.readCount >= tuning.providedCount && tuning.providedCount > 0)
    count = tuning.readCount
    slots = FixedTable(repeating: Slot(), count: count)
    // What no frame ever reaches takes no memory.
    memory = privateMemory(byteCount: Self.stride * tuning.readCount)
    let bytes = memory
    address = bytes.address
    frames = FixedObjects(count: count) {
      Frame(index: $0, head: bytes.slice(at: $0 * Self.stride + Self.frameOffset, byteCount: TapQueue.maximumFrameByteCount))
    }
    let isPacketSocket = medium == .packetSocket
    taggedFrames = FixedTable(count: isPacketSocket ? count : 1) { slot in
      guard isPacketSocket else { return nil }
      return Frame(index: slot, head: bytes.slice(at: slot * Self.stride + Self.frameOffset - 4, byteCount: TapQueue.maximumFrameByteCount + 4))
    }
    messages = ReceiveMessages(
      count: isPacketSocket ? count : 0, vectorsPerMessage: 2, controlByteCount: PacketSocket.controlByteCount)
    for slot in 0..<messages.count {
      messages.vectors[slot * 2] = (bytes.vector(at: slot * Self.stride, byteCount: PacketSocket.headerByteCount).address, PacketSocket.headerByteCount)
      let frame = bytes.vector(at: slot * Self.stride + Self.frameOffset, byteCount: TapQueue.maximumFrameByteCount)
      messages.vectors[slot * 2 + 1] = (frame.address, frame.byteCount)
    }
    lent = FixedTable(repeating: nil, count: tuning.providedCount)
    vectors = VectorTable(capacity: tuning.reading == .provided ? tuning.providedCount * Self.vectorsPerSlot : 0)
  }

  /// Where a slot's header is; the slot's frame follows it, unless there must be room for a tag between.
  func headerOffset(_ slot: Int) -> Int {
    switch medium {
    case .tap: slot * Self.stride + Self.frameOffset - TapQueue.headerByteCount
    case .packetSocket: slot * Self.stride
    }
  }

  /// What a read of a TAP interface fills in one stretch: header and frame. By address, because a copy of ``memory`` counts references.
  @inline(__always) func stretch(_ slot: Int) -> SharedVector {
    precondition(slot >= 0 && slot < count, "a slot that there is not")
    return SharedVector(
      address: address &+ UInt(bitPattern: headerOffset(slot)), byteCount: TapQueue.headerByteCount + TapQueue.maximumFrameByteCount)
  }

  /// Lends the frame in a slot; that of a packet socket with the tag that the kernel has taken off put back (`struct tpacket_auxdata`).
  @inline(__always) func withFrame<Result>(_ slot: Int, _ body: (Frame) -> Result) -> Result {
    medium == .tap ? frames.withObject(slot, body) : body(packetFrame(slot))
  }

  private func packetFrame(_ slot: Int) -> Frame {
    if !slots[slot].isTagged {
      let (status, tag) = (auxiliary(slot, word: 0) ?? 0, auxiliary(slot, word: 4) ?? 0)
      guard status & Auxiliary.hasTag != 0 else { return frames[slot] }
      let start = slot * Self.stride + Self.frameOffset
      for word in 0..<3 { memory.store32(memory.load32(at: start + word * 4), at: start + word * 4 - 4) }
      let type = status & Auxiliary.hasTagType != 0 ? UInt16(truncatingIfNeeded: tag >> 16) : 0x8100
      memory.store16(type.bigEndian, at: start + 8)
      memory.store16(UInt16(truncatingIfNeeded: tag).bigEndian, at: start + 10)
      slots[slot].isTagged = true
    }
    guard let frame = taggedFrames[slot] else { preconditionFailure("a tag beside a frame of a TAP interface") }
    return frame
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
  /// They are in the queue's own memory, not in what the client gave.
  private(set) var isStaged: Bool
  private var wanted = 1

  init(isStaged: Bool) { self.isStaged = isStaged }

  /// Reads of the next batch. Where they go follows from how long the last frames were.
  mutating func advance(_ tuning: TapTuning) -> Int {
    if count > 0 { wanted = hits == count ? count * 2 : max(1, hits) }
    let average = hits > 0 ? byteCount / hits : 1
    if tuning.reading == .provided, hits > 0 { isStaged = average <= tuning.stagedByteCount }
    return max(1, min(wanted, isStaged ? tuning.readCount : tuning.providedCount, tuning.readByteCount / max(1, average)))
  }

  mutating func begin() {
    count = 0
    next = 0
    hits = 0
    byteCount = 0
  }
}
