import NetInterface
import NetPackets
import SharedMemory
import SystemPackage
import XenInterface
import XenPlatform

/// Pages for the back-end to copy frames to, and the frames that are made of them.
///
/// A page is free, posted (in a slot of the ring), in the chain that is being put together, or part of a frame that is held.
struct ReceivePages: ~Copyable {
  /// Not private, because Swift 6.3 emits a module that does not verify when a private type holds an inline array.
  struct Row {
    var pages = InlineArray<24, Int32>(repeating: -1)
    var count = 0
  }

  private let arena: GrantArena
  private let first: Int
  private let firstReference: GrantReference
  /// By slot of the ring.
  private let posted: FixedTable<Int32>
  private let nextSlot = FixedCell(0)
  private let free: FixedTable<Int32>
  private let freePages: FixedCell<Int>
  /// Pages of the chain that is being put together, in order.
  private let chain = FixedTable(repeating: Int32(-1), count: 512)
  private let chainCount = FixedCell(0)

  private let frames: [Frame]
  private let firstFrame: Int
  private let rows: FixedTable<Row>
  private let freeFrames: FixedTable<Int32>
  private let freeFrameCount: FixedCell<Int>

  init(_ arena: GrantArena, count: Int, slotCount: Int, firstFrame: Int) throws(Errno) {
    guard let first = arena.allocatePages(contiguous: count) else { preconditionFailure("the arena was made too small") }
    for page in first..<first + count { arena.grant(page: page) }
    self.arena = arena
    self.first = first
    firstReference = arena.reference(ofPage: first)
    posted = FixedTable(repeating: -1, count: slotCount)
    free = FixedTable(count: count) { Int32(count - 1 - $0) }
    freePages = FixedCell(count)
    let heads = try SharedRegion(anonymousByteCount: count * Frame.headCapacity).bytes
    frames = (0..<count).map { Frame(index: firstFrame + $0, head: heads.slice(at: $0 * Frame.headCapacity, byteCount: Frame.headCapacity)) }
    self.firstFrame = firstFrame
    rows = FixedTable(repeating: Row(), count: count)
    freeFrames = FixedTable(count: count) { Int32(count - 1 - $0) }
    freeFrameCount = FixedCell(count)
  }

  /// Frames that are held.
  var heldCount: Int { frames.count - freeFrameCount.value }

  /// Takes a free page for the next slot of the ring; nil when there is none.
  func post() -> NetifReceiveRequest? {
    guard freePages.value > 0 else { return nil }
    freePages.value -= 1
    let page = free[freePages.value]
    let slot = nextSlot.value
    posted[slot] = page
    nextSlot.value = slot + 1 == posted.count ? 0 : slot + 1
    var request = NetifReceiveRequest()
    request.identifier = UInt16(slot)
    request.grantReference = GrantReference(rawValue: firstReference.rawValue + UInt32(page))
    return request
  }

  /// Takes the page of `slot`, which was answered, into the chain.
  func takeBack(slot: Int) {
    chain[chainCount.value] = posted[slot]
    chainCount.value += 1
  }

  /// Gives the chain's pages back: nothing in it is wanted.
  func dropChain() {
    for index in 0..<chainCount.value { putBack(chain[index]) }
    chainCount.value = 0
  }

  /// Makes a frame of the chain: `assembler` says where in its pages. What fits the head is copied there, and needs no page any more.
  func frame(of assembler: borrowing ReceiveAssembler) -> Frame {
    freeFrameCount.value -= 1
    let place = Int(freeFrames[freeFrameCount.value])
    let frame = frames[place]
    let headByteCount = min(assembler.byteCount, Frame.headCapacity)
    frame.reset(headByteCount: headByteCount)
    rows[place].count = 0
    var filled = 0
    for index in 0..<assembler.pieceCount {
      let piece = assembler.piece(index)
      let page = chain[piece.slot]
      let bytes = arena.bytes.vector(at: (first + Int(page)) * pageByteCount + piece.offset, byteCount: piece.byteCount)
      let taken = min(piece.byteCount, headByteCount - filled)
      if taken > 0 {
        frame.fillHead(at: filled, from: SharedVector(address: bytes.address, byteCount: taken))
        filled += taken
      }
      if taken < piece.byteCount {
        frame.append(SharedVector(address: bytes.address + UInt(taken), byteCount: piece.byteCount - taken))
        rows[place].pages[rows[place].count] = page
        rows[place].count += 1
        chain[piece.slot] = -1
      }
    }
    for index in 0..<chainCount.value where chain[index] >= 0 { putBack(chain[index]) }
    chainCount.value = 0
    return frame
  }

  /// The frame and its pages may be used again.
  func giveBack(_ frame: Frame) {
    let place = frame.index - firstFrame
    for index in 0..<rows[place].count { putBack(rows[place].pages[index]) }
    freeFrames[freeFrameCount.value] = Int32(truncatingIfNeeded: place)
    freeFrameCount.value += 1
  }

  private func putBack(_ page: Int32) {
    free[freePages.value] = page
    freePages.value += 1
  }
}
