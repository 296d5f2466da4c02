import NetPackets
import SharedMemory
import Uring

/// What writes come from: per write a header and room for a small frame, and the list of a large one's pieces.
struct TapWriteSlots: ~Copyable {
  /// Frames up to this long are copied behind their header: cheaper than to keep a peer's pages for them.
  static var copiedByteCount: Int { Frame.headCapacity }
  static let vectorsPerSlot = Frame.maximumPieceCount + 2
  private static let frameOffset = 16
  private static let stride = frameOffset + copiedByteCount + 48

  struct Slot {
    /// Of the frame, without the header.
    var byteCount = 0
    /// What the client waits for; nil for a copied one.
    var frame: Frame?
  }

  let slots: FixedTable<Slot>
  let memory: SharedBytes
  /// Where ``memory`` is: it is kept as long as this is.
  private let address: UInt
  let vectors: VectorTable
  /// The free ones' numbers, the last freed last: what is used again is in the cache.
  private let free: FixedTable<Int>
  private let freeCount: FixedCell<Int>

  init(count: Int) {
    precondition(count > 0)
    slots = FixedTable(repeating: Slot(), count: count)
    memory = privateMemory(byteCount: count * Self.stride)
    address = memory.address
    vectors = VectorTable(capacity: count * Self.vectorsPerSlot)
    free = FixedTable(count: count) { count - 1 - $0 }
    freeCount = FixedCell(count)
  }

  func headerOffset(_ slot: Int) -> Int { slot * Self.stride + Self.frameOffset - TapQueue.headerByteCount }

  /// A slot's header and the first `count` bytes behind it. By address, because a copy of ``memory`` counts references.
  @inline(__always) func stretch(_ slot: Int, frameByteCount count: Int) -> SharedVector {
    precondition(slot >= 0 && slot < slots.count && count >= 0 && count <= Self.copiedByteCount, "a frame that does not fit its slot")
    return SharedVector(address: address &+ UInt(bitPattern: headerOffset(slot)), byteCount: TapQueue.headerByteCount + count)
  }

  func take() -> Int? {
    guard freeCount.value > 0 else { return nil }
    freeCount.value -= 1
    return free[freeCount.value]
  }

  func giveBack(_ slot: Int) {
    free[freeCount.value] = slot
    freeCount.value += 1
  }
}
