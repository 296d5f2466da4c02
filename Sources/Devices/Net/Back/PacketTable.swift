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
    var pageCount = 0
  }

  let frames: FixedObjects<Frame>
  private let rows: FixedTable<Row>
  private let pages: FixedTable<MappedPage>
  private let free: FixedTable<Int32>
  private let freeCount: FixedCell<Int>

  /// - Parameters:
  ///   - count: frames at most.
  ///   - firstIndex: the number of the first frame: numbers of one device's frames are all different.
  init(count: Int, firstIndex: Int) throws(Errno) {
    let heads = try SharedRegion(anonymousByteCount: count * Frame.headCapacity).bytes
    frames = FixedObjects(count: count) {
      Frame(index: firstIndex + $0, head: heads.slice(at: $0 * Frame.headCapacity, byteCount: Frame.headCapacity))
    }
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

  @inline(__always) func setAnswer(_ answer: TransmitAnswer, of place: Int) { rows[place].answer = answer }
  @inline(__always) func answer(of place: Int) -> TransmitAnswer { rows[place].answer }

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
