import NetInterface
import NetPackets
import SharedMemory
import SystemPackage
import XenPlatform

/// The frames of a queue's guest that are under way: for each, what is to be answered and what is to be unmapped.
///
/// As many as the ring has slots, made once. A frame's place here is its number, less the first one's.
struct PacketTable: ~Copyable {
  /// Not private, because Swift 6.3 emits a module that does not verify when a private type holds an inline array.
  struct Row {
    var answer = TransmitAnswer()
    /// Of a frame that is one request, in place of ``answer``.
    var identifier: UInt16?
    var pageCount = 0
  }

  let frames: FixedObjects<Frame>
  /// The same frames, for those that are handed on together.
  let batch: FrameBatch
  /// What frames' heads are in: that of frame n begins at n times ``Frame/headCapacity``.
  let heads: SharedBytes
  private let rows: FixedTable<Row>
  private let pages: FixedTable<MappedPage>
  private let free: FixedTable<Int32>
  private let freeCount: FixedCell<Int>

  /// - Parameters:
  ///   - count: frames at most.
  ///   - firstIndex: the number of the first frame: numbers of one device's frames are all different.
  init(count: Int, firstIndex: Int) throws(Errno) {
    let heads = try SharedRegion(anonymousByteCount: count * Frame.headCapacity).bytes
    self.heads = heads
    let all = (0..<count).map { Frame(index: firstIndex + $0, head: heads.slice(at: $0 * Frame.headCapacity, byteCount: Frame.headCapacity)) }
    frames = FixedObjects(count: count) { all[$0] }
    batch = FrameBatch(of: FixedObjects(count: count) { all[$0] })
    rows = FixedTable(repeating: Row(), count: count)
    pages = FixedTable(repeating: MappedPage(address: 0, arena: -1, page: 0, isWritable: false), count: count * NetLimits.pieceCount)
    // The one used last is taken next: it is still in the cache.
    free = FixedTable(count: count) { Int32(count - 1 - $0) }
    freeCount = FixedCell(count)
  }

  var inFlightCount: Int { frames.count - freeCount.value }
  /// Places for further frames.
  var availableCount: Int { @inline(__always) get { freeCount.value } }
  var hasFree: Bool { @inline(__always) get { freeCount.value > 0 } }

  /// Takes a free place, which has nothing to answer and no pages.
  @inline(__always) func begin() -> Int {
    precondition(freeCount.value > 0, "more frames under way than slots")
    freeCount.value -= 1
    let place = Int(free[freeCount.value])
    rows[place].pageCount = 0
    return place
  }

  /// Gives a place back. Its pages are unmapped and its slots answered.
  @inline(__always) func end(_ place: Int) {
    free[freeCount.value] = Int32(truncatingIfNeeded: place)
    freeCount.value += 1
  }

  /// Takes `count` free places, which are those of ``batch`` then.
  @inline(__always) func begin(_ count: Int) {
    precondition(freeCount.value >= count, "more frames under way than slots")
    let first = freeCount.value - count
    freeCount.value = first
    batch.fill(count) { number in
      let place = free[first + number]
      rows[Int(place)].pageCount = 0
      return place
    }
  }

  /// Gives the first `count` places of ``batch`` back, none of which is pending. Their pages are unmapped and their slots answered.
  @inline(__always) func endBatch(_ count: Int) {
    let first = freeCount.value
    for number in 0..<count { free[first + number] = Int32(truncatingIfNeeded: batch.place(number)) }
    freeCount.value = first + count
  }

  @inline(__always) func setAnswer(_ answer: TransmitAnswer, of place: Int) {
    rows[place].identifier = nil
    rows[place].answer = answer
  }
  @inline(__always) func answer(of place: Int) -> TransmitAnswer { rows[place].identifier.map { TransmitAnswer(identifier: $0) } ?? rows[place].answer }

  /// The frame is one request, with this identifier.
  @inline(__always) func setIdentifier(_ identifier: UInt16, of place: Int) { rows[place].identifier = identifier }

  @inline(__always) func addPage(_ page: MappedPage, to place: Int) {
    pages[place * NetLimits.pieceCount + rows[place].pageCount] = page
    rows[place].pageCount += 1
  }

  /// Unmaps what is mapped for a frame: nothing, for most.
  @inline(__always) func unmapPages(of place: Int, _ grants: ForeignGrants) {
    let count = rows[place].pageCount
    if count > 0 { unmapPages(of: place, count, grants) }
  }

  private func unmapPages(of place: Int, _ count: Int, _ grants: ForeignGrants) {
    for index in 0..<count { grants.unmap(pages[place * NetLimits.pieceCount + index]) }
    rows[place].pageCount = 0
  }
}
