public import SharedMemory

/// What of one packed queue is under way, in memory that outlives the back-end (vhost-user, "Inflight I/O tracking", `QueueRegionPacked`).
///
/// A packed ring's descriptors are overwritten by answers, so the record keeps a copy of each; its entries form chains and one free list.
/// Belongs to the queue's loop. The VMM shares the memory: what is read from it is read once, at the start, and checked; later the links that
/// count are private.
public final class PackedInflightRecord {
  /// Places in the record, in bytes.
  private enum Layout {
    static let version = 8
    static let entryCount = 10
    static let freeHead = 12
    static let oldFreeHead = 14
    static let usedIndex = 16
    static let oldUsedIndex = 18
    static let usedWrap = 20
    static let oldUsedWrap = 21
    static let firstEntry = 32
    static let entryByteCount = 32
    // In an entry.
    static let inflight = 0
    static let next = 2
    static let last = 4
    static let count = 6
    static let counter = 8
    static let id = 16
    static let flags = 18
    static let length = 20
    static let address = 24
  }

  /// Bytes of the record of one queue, rounded to a cache line.
  public static func byteCount(entryCount: Int) -> Int { (Layout.firstEntry + entryCount * Layout.entryByteCount + 63) & ~63 }

  /// A chain that the earlier back-end took and did not answer.
  struct Replay {
    var head: UInt16
    var count: UInt16
    var counter: UInt64
  }

  private let memory: SharedBytes
  private let entryCount: Int
  /// By entry, the next one of its chain or of the free list; `entryCount` ends the free list.
  private let links: FixedTable<UInt16>
  /// By chain id, the first of its entries.
  private let heads: FixedTable<UInt16>
  /// By first entry, the last one of its chain.
  private let lasts: FixedTable<UInt16>
  /// First entries of chains that were answered since the last publish.
  private let batch: FixedTable<UInt16>
  private let state: FixedCell<State>
  private var replays: [Replay] = []

  private struct State {
    var freeHead: UInt16 = 0
    /// As it was when the driver was last shown answers, and with what was taken since.
    var oldFreeHead: UInt16 = 0
    var publishedUsed: UInt16 = 0
    var publishedWrap = true
    /// Where the next descriptor of the chain that is being taken goes, the one before, and how many there are.
    var cursor: UInt16 = 0
    var previous: UInt16 = 0
    var count: UInt16 = 0
    var nextCounter: UInt64 = 0
    var batchCount = 0
    var nextReplay = 0
  }

  /// A record in `memory`, new (zeros) or left by an earlier back-end. Traps when it is too small for `entryCount` entries.
  public init(_ memory: SharedBytes, entryCount: Int) {
    precondition(memory.byteCount >= Layout.firstEntry + entryCount * Layout.entryByteCount, "a record too small for its queue")
    self.memory = memory
    self.entryCount = entryCount
    links = FixedTable(count: entryCount) { UInt16($0 + 1) }
    heads = FixedTable(repeating: 0, count: entryCount)
    lasts = FixedTable(repeating: 0, count: entryCount)
    batch = FixedTable(repeating: 0, count: entryCount)
    state = FixedCell(State())
  }

  /// Chains that the earlier back-end took and did not answer.
  public var replayCount: Int { replays.count }

  private func entry(_ index: UInt16) -> Int { Layout.firstEntry + Int(index) * Layout.entryByteCount }

  // MARK: The start

  /// Where a queue goes on.
  struct Position: Equatable {
    var nextUsed: UInt16
    var usedWrap: Bool
    /// Descriptors that were taken and not answered.
    var openSlotCount: Int
    /// Places from `nextUsed` on in which answers may stand that the driver was never shown.
    var staleSlotCount: Int
  }

  /// Puts the record in order after whatever end the last back-end had. `isAvailable` says whether the ring's descriptor at a place still is as
  /// the driver wrote it under a wrap counter. Nil when the record was new; it begins at the given place then. Throws when it contradicts itself.
  func recover(nextUsed: UInt16, usedWrap: Bool, isAvailable: (_ place: UInt16, _ wrap: Bool) -> Bool) throws(VirtqueueFault) -> Position? {
    guard memory.load16(at: Layout.version) == 1, memory.load16(at: Layout.entryCount) == UInt16(entryCount) else {
      initialise(nextUsed, usedWrap)
      return nil
    }
    let used = memory.load64(at: Layout.usedIndex)
    var place = UInt16(truncatingIfNeeded: used >> 16)
    var wrap = used >> 40 & 0xff != 0
    var freeHead = memory.load16(at: Layout.oldFreeHead)
    let shownPlace = UInt16(truncatingIfNeeded: used)
    let shownWrap = used >> 32 & 0xff != 0
    guard place < entryCount, shownPlace < entryCount else { throw .inflightRecord }
    // A batch was on its way; whether the driver has seen it is told by its first descriptor, which is shown last.
    var staleSlotCount = 0
    if (place, wrap) != (shownPlace, shownWrap) {
      if isAvailable(place, wrap) {
        staleSlotCount = wrap == shownWrap ? Int(shownPlace) - Int(place) : Int(shownPlace) + entryCount - Int(place)
        guard staleSlotCount > 0, staleSlotCount <= entryCount else { throw .inflightRecord }
      } else {
        (place, wrap) = (shownPlace, shownWrap)
        freeHead = memory.load16(at: Layout.freeHead)
      }
    }
    // The used places stay as they are until the answers that stand there are taken back.
    store(freeHead: freeHead, old: freeHead)
    (state.value.freeHead, state.value.oldFreeHead) = (freeHead, freeHead)
    (state.value.publishedUsed, state.value.publishedWrap) = (place, wrap)
    return Position(nextUsed: place, usedWrap: wrap, openSlotCount: try readLinks(freeHead: freeHead), staleSlotCount: staleSlotCount)
  }

  /// No answer that the driver was not shown stands in the ring any more.
  func settled() {
    store(used: state.value.publishedUsed, state.value.publishedWrap, old: state.value.publishedUsed, state.value.publishedWrap)
  }

  /// Both heads of the free list in one step, with what stands beside them and does not change.
  private func store(freeHead: UInt16, old: UInt16) {
    memory.storeWord64(1 | UInt64(entryCount) << 16 | UInt64(freeHead) << 32 | UInt64(old) << 48, at: Layout.version)
  }

  /// Both used places in one step, with their wrap counters.
  private func store(used: UInt16, _ wrap: Bool, old: UInt16, _ oldWrap: Bool) {
    memory.storeWord64(UInt64(used) | UInt64(old) << 16 | (wrap ? 1 << 32 : 0) | (oldWrap ? 1 << 40 : 0), at: Layout.usedIndex)
  }

  private func initialise(_ nextUsed: UInt16, _ usedWrap: Bool) {
    memory.zero(at: 0, byteCount: Layout.firstEntry + entryCount * Layout.entryByteCount)
    for index in 0..<UInt16(entryCount) { memory.store16(index + 1, at: entry(index) + Layout.next) }
    store(used: nextUsed, usedWrap, old: nextUsed, usedWrap)
    (state.value.publishedUsed, state.value.publishedWrap) = (nextUsed, usedWrap)
    // Last, with the version: a record that has one is complete.
    store(freeHead: 0, old: 0)
  }

  /// Copies the links: the free list, whose entries are not under way whatever they say, and the chains. Each entry must be in exactly one.
  /// Returns how many are in chains.
  private func readLinks(freeHead: UInt16) throws(VirtqueueFault) -> Int {
    var isSeen = [Bool](repeating: false, count: entryCount)
    func take(_ index: UInt16) -> UInt16? {
      guard Int(index) < entryCount, !isSeen[Int(index)] else { return nil }
      isSeen[Int(index)] = true
      let next = memory.load16(at: entry(index) + Layout.next)
      links[Int(index)] = next
      return next
    }
    var freeCount = 0
    var index = freeHead
    while Int(index) < entryCount {
      memory.store8(0, at: entry(index) + Layout.inflight)
      guard let next = take(index) else { throw .inflightRecord }
      freeCount += 1
      index = next
    }
    var openCount = 0
    for head in 0..<UInt16(entryCount) where !isSeen[Int(head)] && memory.load8(at: entry(head) + Layout.inflight) == 1 {
      let count = memory.load16(at: entry(head) + Layout.count)
      guard count > 0, Int(count) <= entryCount else { throw .inflightRecord }
      index = head
      for position in 0..<count {
        guard let next = take(index) else { throw .inflightRecord }
        if position + 1 == count { lasts[Int(head)] = index } else { index = next }
      }
      openCount += Int(count)
      replays.append(Replay(head: head, count: count, counter: memory.load64(at: entry(head) + Layout.counter)))
    }
    guard freeCount + openCount == entryCount else { throw .inflightRecord }
    replays.sort { $0.counter < $1.counter }
    state.value.nextCounter = (replays.last?.counter ?? 0) &+ 1
    return openCount
  }

  /// The next chain to be done again, its entries to be read with ``descriptor(_:)``.
  func nextToReplay() -> Replay? {
    guard state.value.nextReplay < replays.count else { return nil }
    defer { state.value.nextReplay += 1 }
    return replays[state.value.nextReplay]
  }

  /// The copy of a descriptor in an entry, and the entry behind it.
  func descriptor(_ index: UInt16) -> (descriptor: Descriptor, next: UInt16) {
    let place = entry(index)
    let high = UInt32(memory.load16(at: place + Layout.id)) | UInt32(memory.load16(at: place + Layout.flags)) << 16
    let copy = Descriptor(address: memory.load64(at: place + Layout.address), byteCount: memory.load32(at: place + Layout.length), high: high)
    return (copy, links[Int(index)])
  }

  // MARK: Chains

  /// A chain begins to be taken; what was noted of one that was given up is forgotten.
  @usableFromInline func begin() {
    state.value.cursor = state.value.freeHead
    state.value.count = 0
  }

  /// Notes a descriptor of the chain. Never more than there are free entries: the queue counts the places that are taken.
  @usableFromInline func note(_ descriptor: Descriptor) {
    let index = state.value.cursor
    let place = entry(index)
    memory.store64(descriptor.address, at: place + Layout.address)
    memory.store32(descriptor.byteCount, at: place + Layout.length)
    memory.store16(descriptor.packedID, at: place + Layout.id)
    memory.store16(descriptor.packedFlags, at: place + Layout.flags)
    state.value.previous = index
    state.value.cursor = links[Int(index)]
    state.value.count += 1
  }

  /// The chain whose descriptors were noted is under way.
  @usableFromInline func began(_ id: UInt16) {
    let head = state.value.freeHead
    heads[Int(id)] = head
    lasts[Int(head)] = state.value.previous
    let place = entry(head)
    memory.store16(state.value.previous, at: place + Layout.last)
    memory.store16(state.value.count, at: place + Layout.count)
    memory.store64(state.value.nextCounter, at: place + Layout.counter)
    state.value.nextCounter &+= 1
    state.value.freeHead = state.value.cursor
    state.value.oldFreeHead = state.value.cursor
    // A back-end that ends in between leaves the chain for the next one to take from the ring: it is not under way before its entries have
    // left the free list.
    memory.store8(1, at: place + Layout.inflight)
    store(freeHead: state.value.freeHead, old: state.value.freeHead)
  }

  /// A chain of the record is under way again.
  func beganAgain(_ replay: Replay, id: UInt16) { heads[Int(id)] = replay.head }

  /// A chain is about to be answered in the ring, up to a place; the driver does not know yet.
  @usableFromInline func willAnswer(_ id: UInt16, nextUsed: UInt16, usedWrap: Bool) {
    store(used: nextUsed, usedWrap, old: state.value.publishedUsed, state.value.publishedWrap)
    batch[state.value.batchCount] = heads[Int(id)]
    state.value.batchCount += 1
  }

  /// The driver is about to be shown all answers.
  @usableFromInline func willPublish() {
    for position in 0..<state.value.batchCount {
      let head = batch[position]
      let last = lasts[Int(head)]
      links[Int(last)] = state.value.freeHead
      memory.store16(state.value.freeHead, at: entry(last) + Layout.next)
      state.value.freeHead = head
    }
    // Only the new ones: the old ones are where to go back to.
    store(freeHead: state.value.freeHead, old: state.value.oldFreeHead)
  }

  /// The driver was shown them.
  @usableFromInline func didPublish(nextUsed: UInt16, usedWrap: Bool) {
    for position in 0..<state.value.batchCount { memory.store8(0, at: entry(batch[position]) + Layout.inflight) }
    state.value.batchCount = 0
    state.value.oldFreeHead = state.value.freeHead
    (state.value.publishedUsed, state.value.publishedWrap) = (nextUsed, usedWrap)
    store(freeHead: state.value.freeHead, old: state.value.freeHead)
    store(used: nextUsed, usedWrap, old: nextUsed, usedWrap)
  }
}
