import SharedMemory
import Uring

// A disk in memory: copied by this thread. Through io_uring the same copy would be punted to a worker and cost ten times as much.
extension BlockEngine {
  func transferInMemory(_ request: Int) {
    guard let memory = store.memory else { preconditionFailure("not a disk in memory") }
    let slot = pool.slots[request]
    var offset = Int(slot.byteOffset)
    if slot.operation == .discard || slot.operation == .writeZeroes { return memory.zeroAndRelease(at: offset, byteCount: Int(slot.byteCount)) }
    let isRead = slot.operation == .read
    for index in Int(slot.firstVector)..<Int(slot.firstVector + slot.vectorCount) {
      let (address, byteCount) = pool.table[index]
      let vector = SharedVector(address: address, byteCount: byteCount)
      // SAFETY: the transport keeps a request's memory mapped until its completion, which comes after this (`append`).
      if isRead { unsafe memory.copyOut(at: offset, to: vector) } else { unsafe memory.copyIn(vector, at: offset) }
      offset += byteCount
    }
  }
}
