import NetPackets
import SharedMemory
import XenInterface
import XenPlatform

/// Runs of granted pages, each with room for any frame, that somebody has frames read into: a large frame is then sent from where it is.
///
/// A run is free, lent to whoever reads into it, or has pages that the back-end was told of. The identifier of a request is the page's
/// number, counted on from those of ``TransmitPages``.
struct TransmitBuffers: ~Copyable {
  /// A frame of 65535 bytes with an Ethernet header and a tag.
  static let pagesPerRun = 17

  private let firstIdentifier: Int
  private let firstReference: GrantReference
  private let pageCount: Int
  /// Keeps the pages mapped.
  private let bytes: SharedBytes
  /// What is lent: a frame of one piece and no head.
  private let lentFrames: FixedTable<Frame?>
  /// The same memory with the frame that was read in it. Nobody else writes there: the head need not be copied.
  private let filledFrames: FixedTable<Frame?>
  /// By page.
  private let inFlight: FixedTable<Bool>
  /// By run: pages that the back-end was told of.
  private let inFlightCounts: FixedTable<Int32>
  private let free: FixedTable<Int32>
  private let state = FixedCell(State())

  /// Not private, because Swift 6.3 emits a module that does not verify when it is.
  struct State {
    var freeCount = 0
    var inFlightCount = 0
    var lentCount = 0
  }

  /// Takes and grants `count` runs; `firstNumber` is the number of the first frame that is lent.
  init(_ arena: GrantArena, count: Int, firstIdentifier: Int, firstNumber: Int) {
    precondition(firstIdentifier + count * Self.pagesPerRun <= 1 << 16, "as many pages as there are identifiers, at most")
    let pages = count * Self.pagesPerRun
    guard let first = arena.allocatePages(contiguous: max(1, pages)) else { preconditionFailure("the arena was made too small") }
    for page in first..<first + pages { arena.grant(page: page, readOnly: true) }
    pageCount = pages
    self.firstIdentifier = firstIdentifier
    let memory = arena.bytes.slice(at: first * pageByteCount, byteCount: max(1, pages) * pageByteCount)
    bytes = memory
    firstReference = arena.reference(ofPage: first)
    let runByteCount = Self.pagesPerRun * pageByteCount
    func frames() -> FixedTable<Frame?> {
      FixedTable(count: max(1, count)) { run in
        run < count ? Frame(index: firstNumber + run, head: memory.slice(at: run * runByteCount, byteCount: runByteCount)) : nil
      }
    }
    lentFrames = frames()
    filledFrames = frames()
    for run in 0..<count {
      lentFrames[run]?.reset(headByteCount: 0)
      lentFrames[run]?.append(memory.vector(at: run * runByteCount, byteCount: runByteCount))
    }
    inFlight = FixedTable(repeating: false, count: max(1, pages))
    inFlightCounts = FixedTable(repeating: 0, count: max(1, count))
    // The one used last is taken next: it is still in the cache.
    free = FixedTable(count: max(1, count)) { Int32(count - 1 - $0) }
    state.value.freeCount = count
  }

  /// Pages that the back-end was told of.
  var inFlightCount: Int { state.value.inFlightCount }
  /// Runs that somebody reads into.
  var lentCount: Int { state.value.lentCount }

  /// All pages, as they are granted.
  var references: [GrantReference] { firstReference.run(of: pageCount) }

  /// A run to read into; nil when there is none.
  func lend() -> Frame? {
    guard state.value.freeCount > 0 else { return nil }
    state.value.freeCount -= 1
    state.value.lentCount += 1
    return lentFrames[Int(free[state.value.freeCount])]
  }

  /// What was lent is not wanted any more.
  func takeBack(_ run: Int) {
    state.value.lentCount -= 1
    putBack(run: run)
  }

  /// The frame of `byteCount` bytes that was read into a run.
  func filled(_ run: Int, byteCount: Int) -> Frame {
    guard let frame = filledFrames[run] else { preconditionFailure("a run that there is not") }
    let headByteCount = min(byteCount, Frame.headCapacity)
    frame.reset(headByteCount: headByteCount)
    frame.append(frame.head.vector(at: headByteCount, byteCount: byteCount - headByteCount))
    return frame
  }

  /// The back-end will be told of the first `pageCount` pages of a run that was lent. Returns the identifier and the reference of the first;
  /// the others follow.
  func send(_ run: Int, pageCount: Int) -> (identifier: UInt16, reference: GrantReference) {
    let first = run * Self.pagesPerRun
    for page in first..<first + pageCount { inFlight[page] = true }
    inFlightCounts[run] = Int32(pageCount)
    state.value.inFlightCount += pageCount
    state.value.lentCount -= 1
    return (UInt16(firstIdentifier + first), GrantReference(rawValue: firstReference.rawValue + UInt32(first)))
  }

  /// Takes the page of a response back. False when there is no such page in flight.
  func putBack(_ identifier: UInt16) -> Bool {
    let page = Int(identifier) - firstIdentifier
    guard page >= 0, page < inFlight.count, inFlight[page] else { return false }
    inFlight[page] = false
    state.value.inFlightCount -= 1
    let run = page / Self.pagesPerRun
    inFlightCounts[run] -= 1
    if inFlightCounts[run] == 0 { putBack(run: run) }
    return true
  }

  private func putBack(run: Int) {
    free[state.value.freeCount] = Int32(run)
    state.value.freeCount += 1
  }
}
