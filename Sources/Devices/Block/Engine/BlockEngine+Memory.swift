public import SharedMemory
import Uring

// A disk in memory: copied by this thread. Through io_uring the same copy would be punted to a worker and cost ten times as much.
extension BlockEngine {
  func transferInMemory(_ request: Int) {
    guard let memory = store.memory else { preconditionFailure("not a disk in memory") }
    let slot = pool.slots[request]
    var offset = Int(slot.byteOffset)
    if slot.operation == .discard { return memory.zeroAndRelease(at: offset, byteCount: Int(slot.byteCount)) }
    let isRead = slot.operation == .read
    for index in Int(slot.firstVector)..<Int(slot.firstVector + slot.vectorCount) {
      let (address, byteCount) = pool.table[index]
      let vector = SharedVector(address: address, byteCount: byteCount)
      // SAFETY: the transport keeps a request's memory mapped until its completion, which comes after this (`append`).
      if isRead { unsafe memory.copyOut(at: offset, to: vector) } else { unsafe memory.copyIn(vector, at: offset) }
      offset += byteCount
    }
  }

  /// Whether a read or write can be done with ``moveAtOnce(_:byteOffset:_:)``: the disk is memory, or nothing at all, and no barrier
  /// is to be waited for.
  public var transfersAtOnce: Bool {
    switch store.kind {
    case .file: false
    case .memory, .null: !barrierIsRunning && held.isEmpty
    }
  }

  /// Moves one stretch of a read or write, whose range passed ``refusal(of:sector:sectorCount:)``, between the disk and `vector`, now.
  /// The memory must be mapped during the call.
  public func moveAtOnce(_ operation: BlockOperation, byteOffset: Int, _ vector: SharedVector) {
    guard let memory = store.memory else { return }
    // SAFETY: the caller has the memory mapped; the range on the disk is checked by the copy.
    if operation == .read { unsafe memory.copyOut(at: byteOffset, to: vector) } else { unsafe memory.copyIn(vector, at: byteOffset) }
  }

  /// Counts a read or write that was done with ``moveAtOnce(_:byteOffset:_:)``.
  public func countAtOnce(_ operation: BlockOperation, sectorCount: UInt64) { count(operation, sectorCount * 512) }
}
