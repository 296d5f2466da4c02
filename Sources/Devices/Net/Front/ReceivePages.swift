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

  /// Not private, for the same reason.
  struct Received {
    var page = Int32(-1)
    var offset: UInt16 = 0
    var byteCount: UInt16 = 0
  }

  private let arena: GrantArena
  private let first: Int
  private let firstReference: GrantReference
  /// Where the first page is, by address: the arena is mapped as long as this lives.
  private let firstAddress: UInt
  /// By slot of the ring.
  private let posted: FixedTable<Int32>
  private let nextSlot = FixedCell(0)
  /// Those that are free, from ``firstFree`` on, around the end: all of them in turns, so that a page is not written to by the back-end as soon
  /// as it was read here.
  private let free: FixedTable<Int32>
  private let firstFree = FixedCell(0)
  private let freePages: FixedCell<Int>
  /// Pages of the chain that is being put together, in order.
  private let chain = FixedTable(repeating: Int32(-1), count: 512)
  private let chainCount = FixedCell(0)

  private let frames: FixedObjects<Frame>
  /// The same frames, for those that are handed over together.
  let batch: FrameBatch
  /// Where the bytes of a batch's frames are.
  private let received = FixedTable(repeating: Received(), count: FrameBatch.capacity)
  private let firstFrame: Int
  private let rows: FixedTable<Row>
  private let freePlaces: FixedTable<Int32>
  private let freeFrameCount: FixedCell<Int>

  init(_ arena: GrantArena, count: Int, slotCount: Int, firstFrame: Int) throws(Errno) {
    guard let first = arena.allocatePages(contiguous: count) else { preconditionFailure("the arena was made too small") }
    for page in first..<first + count { arena.grant(page: page) }
    self.arena = arena
    self.first = first
    firstReference = arena.reference(ofPage: first)
    firstAddress = arena.bytes.address + UInt(first * pageByteCount)
    posted = FixedTable(repeating: -1, count: slotCount)
    free = FixedTable(count: count) { Int32($0) }
    freePages = FixedCell(count)
    let heads = try SharedRegion(anonymousByteCount: count * Frame.headCapacity).bytes
    let all = (0..<count).map { Frame(index: firstFrame + $0, head: heads.slice(at: $0 * Frame.headCapacity, byteCount: Frame.headCapacity)) }
    frames = FixedObjects(count: count) { all[$0] }
    batch = FrameBatch(of: FixedObjects(count: count) { all[$0] })
    self.firstFrame = firstFrame
    rows = FixedTable(repeating: Row(), count: count)
    freePlaces = FixedTable(count: count) { Int32(count - 1 - $0) }
    freeFrameCount = FixedCell(count)
  }

  /// Frames that nobody holds.
  var freeFrames: Int { @inline(__always) get { freeFrameCount.value } }
  /// Frames that are held.
  var heldCount: Int { frames.count - freeFrameCount.value }

  /// Takes a free page for the next slot of the ring; nil when there is none.
  @inline(__always) func post() -> NetifReceiveRequest? {
    guard freePages.value > 0 else { return nil }
    freePages.value -= 1
    let page = free[firstFree.value]
    firstFree.value = firstFree.value + 1 == free.count ? 0 : firstFree.value + 1
    let slot = nextSlot.value
    posted[slot] = page
    nextSlot.value = slot + 1 == posted.count ? 0 : slot + 1
    var request = NetifReceiveRequest()
    request.identifier = UInt16(slot)
    request.grantReference = GrantReference(rawValue: firstReference.rawValue + UInt32(page))
    return request
  }

  /// Takes the page of `slot`, which was answered, into the chain.
  @inline(__always) func takeBack(slot: Int) {
    chain[chainCount.value] = posted[slot]
    chainCount.value += 1
  }

  /// Gives the chain's pages back: nothing in it is wanted.
  func dropChain() {
    for index in 0..<chainCount.value { putBack(chain[index]) }
    chainCount.value = 0
  }

  /// Lends a frame of `count` bytes at `offset` of the page of `slot`, which was answered, to `body`. What fits the head is copied there; a
  /// page that is not needed any more is free at once.
  @inline(__always) func withFrame(inSlot slot: Int, at offset: Int, byteCount count: Int, _ body: (Frame) -> Void) {
    let page = posted[slot]
    freeFrameCount.value -= 1
    let place = Int(freePlaces[freeFrameCount.value])
    frames.withObject(place) { frame in
      fill(frame, place, page, at: offset, byteCount: count)
      body(frame)
    }
  }

  @inline(__always) private func fill(_ frame: Frame, _ place: Int, _ page: Int32, at offset: Int, byteCount count: Int) {
    let headByteCount = min(count, Frame.headCapacity)
    frame.reset(headByteCount: headByteCount)
    frame.fillHead(at: 0, from: vector(page, at: offset, byteCount: headByteCount))
    if headByteCount < count {
      frame.append(vector(page, at: offset + headByteCount, byteCount: count - headByteCount))
      rows[place].pages[0] = page
      rows[place].count = 1
    } else {
      rows[place].count = 0
      putBack(page)
    }
  }

  /// Takes down that frame `number` of the next batch is `count` bytes at `offset` of the page of `slot`, which was answered, and has them fetched.
  @inline(__always) func note(_ number: Int, inSlot slot: Int, at offset: Int, byteCount count: Int) {
    let page = posted[slot]
    received[number] = Received(page: page, offset: UInt16(truncatingIfNeeded: offset), byteCount: UInt16(truncatingIfNeeded: count))
    arena.bytes.prefetchForReading(at: (first + Int(page)) * pageByteCount + offset, byteCount: min(count, Frame.headCapacity))
  }

  /// Makes the first `count` frames that were noted those of ``batch``, as ``withFrame(inSlot:at:byteCount:_:)`` makes each. Returns their bytes.
  @inline(__always) func fillBatch(_ count: Int) -> Int {
    precondition(freeFrameCount.value >= count, "more frames than pages")
    let firstFree = freeFrameCount.value - count
    freeFrameCount.value = firstFree
    batch.fill(count) { freePlaces[firstFree + $0] }
    var sum = 0
    for number in 0..<count {
      let (page, offset, byteCount) = (received[number].page, Int(received[number].offset), Int(received[number].byteCount))
      let place = batch.place(number)
      sum += byteCount
      frames.withObject(place) { fill($0, place, page, at: offset, byteCount: byteCount) }
    }
    return sum
  }

  /// The frames of ``batch`` that nobody holds, and their pages, may be used again.
  @inline(__always) func endBatch() {
    let isMixed = batch.isMixed
    for number in 0..<batch.count {
      if isMixed, batch.outcome(number) == .pending { continue }
      giveBack(place: batch.place(number))
    }
  }

  /// A stretch of a page, which the caller has checked to be inside it.
  @inline(__always) private func vector(_ page: Int32, at offset: Int, byteCount count: Int) -> SharedVector {
    SharedVector(address: firstAddress + UInt(Int(page) * pageByteCount + offset), byteCount: count)
  }

  /// Makes a frame of the chain: `assembler` says where in its pages. What fits the head is copied there, and needs no page any more.
  func frame(of assembler: borrowing ReceiveAssembler) -> Frame {
    freeFrameCount.value -= 1
    let place = Int(freePlaces[freeFrameCount.value])
    let frame = frames[place]
    let headByteCount = min(assembler.byteCount, Frame.headCapacity)
    frame.reset(headByteCount: headByteCount)
    rows[place].count = 0
    var filled = 0
    for index in 0..<assembler.pieceCount {
      let piece = assembler.piece(index)
      let page = chain[piece.slot]
      let bytes = vector(page, at: piece.offset, byteCount: piece.byteCount)
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
  @inline(__always) func giveBack(_ frame: Frame) { giveBack(place: frame.index - firstFrame) }

  @inline(__always) private func giveBack(place: Int) {
    for index in 0..<rows[place].count { putBack(rows[place].pages[index]) }
    freePlaces[freeFrameCount.value] = Int32(truncatingIfNeeded: place)
    freeFrameCount.value += 1
  }

  @inline(__always) private func putBack(_ page: Int32) {
    let place = firstFree.value + freePages.value
    free[place < free.count ? place : place - free.count] = page
    freePages.value += 1
  }

  /// All pages, as they are granted.
  var references: [GrantReference] { firstReference.run(of: free.count) }
}
