import SharedMemory
import Uring

/// The fixed set of requests that an engine can have at once, and the vector tables that belong to them.
///
/// Every request has a table for a direct request's segments. A larger one borrows a large table, of which there are fewer:
/// when none is free, the transport waits. Index `i`'s table begins at `i * smallTableCapacity`; large ones lie behind those.
struct RequestPool: ~Copyable {
  static let none: Int32 = -1

  struct Slot {
    var tag: UInt64 = 0
    /// Where its data is on the disk.
    var byteOffset: UInt64 = 0
    /// Bytes of data, or of the range to discard.
    var byteCount: UInt64 = 0
    /// Bytes of it that are done.
    var doneByteCount: UInt64 = 0
    /// Its part of the vector table.
    var firstVector: Int32 = 0
    var vectorCapacity: Int32 = 0
    var vectorCount: Int32 = 0
    /// Vectors that are done.
    var doneVectorCount: Int32 = 0
    /// Bytes of the one after them that are done.
    var doneVectorByteCount: Int32 = 0
    /// The arena that all vectors lie in; `mixedRegions` when there are several.
    var region: Int32 = 0
    var largeTable: Int32 = RequestPool.none
    /// The next request in whatever list this one is in.
    var next: Int32 = RequestPool.none
    var operation = BlockOperation.read
    /// A range that becomes zeros may be taken out of the file.
    var mayUnmap = false
    var step = Step.building
  }

  /// What a request is waiting for.
  enum Step: UInt8 {
    case free
    /// The transport is still adding vectors.
    case building
    /// Waits behind a barrier, or is one and waits for others.
    case held
    case flushBefore
    case transfer
    case flushAfter
    case discard
    case zero
    /// Zeroing where the file system can do it only by taking the range out of the file.
    case zeroByHole
  }

  let slots: FixedTable<Slot>
  let table: VectorTable
  private var firstFree: Int32
  /// The free large tables, last in, first out: the first `freeLargeTableCount` entries.
  private let freeLargeTables: FixedTable<Int32>
  private var freeLargeTableCount: Int
  private let smallTableCapacity: Int
  let largeTableCapacity: Int
  private(set) var usedCount = 0

  init(capacity: Int, smallTableCapacity: Int, largeTableCapacity: Int, largeTableCount: Int) {
    precondition(capacity > 0 && smallTableCapacity > 0)
    let large = largeTableCapacity > smallTableCapacity ? largeTableCount : 0
    self.smallTableCapacity = smallTableCapacity
    self.largeTableCapacity = large > 0 ? largeTableCapacity : smallTableCapacity
    slots = FixedTable(count: capacity) { index in
      var slot = Slot()
      slot.step = .free
      slot.next = index + 1 < capacity ? Int32(index + 1) : Self.none
      return slot
    }
    firstFree = 0
    table = VectorTable(capacity: capacity * smallTableCapacity + large * largeTableCapacity)
    freeLargeTables = FixedTable(count: large) { Int32(large - 1 - $0) }
    freeLargeTableCount = large
  }

  /// Takes a request with room for `vectorCount` vectors; nil when there is none now.
  mutating func begin(vectorCount: Int) -> Int? {
    precondition(vectorCount <= largeTableCapacity, "more vectors than a request can have")
    guard firstFree != Self.none else { return nil }
    let index = Int(firstFree)
    var slot = Slot()
    if vectorCount <= smallTableCapacity {
      slot.firstVector = Int32(index * smallTableCapacity)
      slot.vectorCapacity = Int32(smallTableCapacity)
    } else {
      guard freeLargeTableCount > 0 else { return nil }
      freeLargeTableCount -= 1
      let large = freeLargeTables[freeLargeTableCount]
      slot.largeTable = large
      slot.firstVector = Int32(slots.count * smallTableCapacity + Int(large) * largeTableCapacity)
      slot.vectorCapacity = Int32(largeTableCapacity)
    }
    firstFree = slots[index].next
    slots[index] = slot
    usedCount += 1
    return index
  }

  /// Gives a request back.
  mutating func end(_ index: Int) {
    precondition(slots[index].step != .free, "request ended twice")
    if slots[index].largeTable != Self.none {
      freeLargeTables[freeLargeTableCount] = slots[index].largeTable
      freeLargeTableCount += 1
    }
    slots[index].step = .free
    slots[index].largeTable = Self.none
    slots[index].next = firstFree
    firstFree = Int32(index)
    usedCount -= 1
  }
}

/// Requests linked by `Slot.next`, first in, first out.
struct RequestQueue {
  private(set) var first = RequestPool.none
  private var last = RequestPool.none

  var isEmpty: Bool { first == RequestPool.none }

  mutating func append(_ index: Int, in pool: inout RequestPool) {
    pool.slots[index].next = RequestPool.none
    if last == RequestPool.none { first = Int32(index) } else { pool.slots[Int(last)].next = Int32(index) }
    last = Int32(index)
  }

  mutating func removeFirst(in pool: inout RequestPool) -> Int {
    let index = Int(first)
    first = pool.slots[index].next
    if first == RequestPool.none { last = RequestPool.none }
    return index
  }
}
