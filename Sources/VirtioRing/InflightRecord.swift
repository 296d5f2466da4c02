public import SharedMemory

/// What of one split queue is under way, in memory that outlives the back-end: the next one finds there what it has to do again
/// (vhost-user, "Inflight I/O tracking", `QueueRegionSplit`).
///
/// Belongs to the queue's loop. The VMM shares the memory: what is read from it is only believed within bounds, and only once, at the start.
public final class InflightRecord {
  /// Places in the record, in bytes.
  private enum Layout {
    static let version = 8
    static let entryCount = 10
    static let lastBatchHead = 12
    static let usedIndex = 14
    static let firstEntry = 16
    static let entryByteCount = 16
    // In an entry.
    static let next = 6
    static let counter = 8
  }

  /// Bytes of the record of one queue, rounded to a cache line.
  public static func byteCount(entryCount: Int) -> Int { (Layout.firstEntry + entryCount * Layout.entryByteCount + 63) & ~63 }

  private let memory: SharedBytes
  private let entryCount: Int
  private let state: FixedCell<State>
  /// Heads answered since the last publish.
  private let batch: FixedTable<UInt16>
  /// Heads to be done again, oldest first.
  private let replays: FixedTable<UInt16>

  private struct State {
    var nextCounter: UInt64 = 0
    var lastBatchHead: UInt16 = 0
    var batchCount = 0
    var replayCount = 0
    var nextReplay = 0
  }

  /// A record in `memory`, new (zeros) or left by an earlier back-end. Traps when it is too small for `entryCount` entries.
  public init(_ memory: SharedBytes, entryCount: Int) {
    precondition(memory.byteCount >= Layout.firstEntry + entryCount * Layout.entryByteCount, "a record too small for its queue")
    self.memory = memory
    self.entryCount = entryCount
    state = FixedCell(State())
    batch = FixedTable(repeating: 0, count: entryCount)
    replays = FixedTable(repeating: 0, count: entryCount)
  }

  /// Chains that the earlier back-end took and did not answer.
  public var replayCount: Int { state.value.replayCount }

  private func entry(_ head: UInt16) -> Int { Layout.firstEntry + Int(head) * Layout.entryByteCount }

  /// Puts the record in order after whatever end the last back-end had, and returns the available index to go on at.
  func recover(usedIndex: UInt16, base: UInt16, entryCount: Int) -> UInt16 {
    guard memory.load16(at: Layout.version) == 1, memory.load16(at: Layout.entryCount) == UInt16(entryCount) else {
      memory.zero(at: 0, byteCount: memory.byteCount)
      memory.store16(UInt16(entryCount), at: Layout.entryCount)
      memory.store16(usedIndex, at: Layout.usedIndex)
      memory.store16(1, at: Layout.version)
      return base
    }
    clearLastBatch(usedIndex)
    var found: [(counter: UInt64, head: UInt16)] = []
    for head in 0..<UInt16(entryCount) where memory.load8(at: entry(head)) != 0 {
      found.append((memory.load64(at: entry(head) + Layout.counter), head))
    }
    found.sort { $0.counter < $1.counter }
    for (position, item) in found.enumerated() { replays[position] = item.head }
    state.value.replayCount = found.count
    state.value.nextCounter = (found.last?.counter ?? 0) &+ 1
    // What was taken is what was answered and what is under way: a base that the VMM gives can be older.
    return usedIndex &+ UInt16(found.count)
  }

  /// The driver was shown the last batch, but its entries may not all have been cleared.
  private func clearLastBatch(_ usedIndex: UInt16) {
    let recorded = memory.load16(at: Layout.usedIndex)
    state.value.lastBatchHead = memory.load16(at: Layout.lastBatchHead)
    var head = state.value.lastBatchHead
    let shown = Int(usedIndex &- recorded)
    if shown <= entryCount {
      for _ in 0..<shown where Int(head) < entryCount {
        memory.store8(0, at: entry(head))
        head = memory.load16(at: entry(head) + Layout.next)
      }
    }
    memory.store16(usedIndex, at: Layout.usedIndex)
  }

  /// The next chain to be done again.
  @usableFromInline func nextToReplay() -> UInt16? {
    guard state.value.nextReplay < state.value.replayCount else { return nil }
    defer { state.value.nextReplay += 1 }
    return replays[state.value.nextReplay]
  }

  /// A chain was taken.
  @usableFromInline func began(_ head: UInt16) {
    memory.store64(state.value.nextCounter, at: entry(head) + Layout.counter)
    state.value.nextCounter &+= 1
    // The counter first: an entry that counts has one.
    memory.storeRelease16(1, at: entry(head))
  }

  /// A chain was not taken after all.
  func givenBack(_ head: UInt16) { memory.store8(0, at: entry(head)) }

  /// A chain was answered; the driver does not know yet.
  @usableFromInline func answered(_ head: UInt16) {
    memory.store16(state.value.lastBatchHead, at: entry(head) + Layout.next)
    memory.storeRelease16(head, at: Layout.lastBatchHead)
    state.value.lastBatchHead = head
    batch[state.value.batchCount] = head
    state.value.batchCount += 1
  }

  /// The driver was shown all answers up to `usedIndex`.
  @usableFromInline func published(_ usedIndex: UInt16) {
    for position in 0..<state.value.batchCount { memory.store8(0, at: entry(batch[position])) }
    state.value.batchCount = 0
    memory.storeRelease16(usedIndex, at: Layout.usedIndex)
  }
}
