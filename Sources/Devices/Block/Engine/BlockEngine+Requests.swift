import BlockInterface
public import SharedMemory
import Uring

// What a transport calls.
extension BlockEngine {
  /// Takes a request with room for `vectorCount` vectors. Nil when all are in use, or the disk's rate does not allow one now: take nothing
  /// more from the ring until a completion has come or the loop turns again.
  public func begin(vectorCount: Int) -> Int? {
    if state.value.isLimited, isHeldBack() { return nil }
    return pool.begin(vectorCount: vectorCount)
  }

  /// Where the vectors of `request` begin in the engine's table, below ``vectorCapacity``.
  public func firstVector(of request: Int) -> Int { Int(pool.slots[request].firstVector) }

  /// Adds memory to a request that was begun. `region` names the arena it lies in: neighbours are merged within one only.
  ///
  /// The memory must stay mapped until the completion; the peer may change its bytes at any time.
  public func append(_ vector: SharedVector, region: Int32, to request: Int) {
    var slot = pool.slots[request]
    precondition(slot.step == .building, "request \(request) was submitted already")
    if slot.vectorCount > 0 {
      let last = Int(slot.firstVector + slot.vectorCount - 1)
      let (address, byteCount) = pool.table[last]
      if slot.region == region, address &+ UInt(byteCount) == vector.address {
        pool.table[last] = (address, byteCount + vector.byteCount)
        return
      }
      if slot.region != region { slot.region = BufferRegistration.mixedRegions }
    } else {
      slot.region = region
    }
    precondition(slot.vectorCount < slot.vectorCapacity, "more vectors than asked for")
    pool.table[Int(slot.firstVector + slot.vectorCount)] = (vector.address, vector.byteCount)
    slot.vectorCount += 1
    pool.slots[request] = slot
  }

  /// Calls `body` with all memory of a request that has just been completed successfully; within the client's `completed(tag:status:)`.
  public func forEachVector(of request: Int, _ body: (SharedVector) -> Void) {
    let first = Int(pool.slots[request].firstVector)
    for index in first..<first + Int(pool.slots[request].vectorCount) {
      let (address, byteCount) = pool.table[index]
      body(SharedVector(address: address, byteCount: byteCount))
    }
  }

  /// Gives up a request that was begun and not submitted.
  public func abandon(_ request: Int) {
    precondition(pool.slots[request].step == .building, "request \(request) was submitted already")
    pool.end(request)
  }

  /// Whether `operation` on a range can be done, asked before anything is mapped; counts it when not. Sectors of 512 bytes.
  public func refusal(of operation: BlockOperation, sector: UInt64, sectorCount: UInt64) -> BlockRefusal? {
    guard let refusal = refusalUncounted(operation, sector: sector, sectorCount: sectorCount) else { return nil }
    statistics.refusals[refusal] &+= 1
    return refusal
  }

  private func refusalUncounted(_ operation: BlockOperation, sector: UInt64, sectorCount: UInt64) -> BlockRefusal? {
    let geometry = store.geometry
    if sectorCount == 0 {
      switch operation {
      case .flush, .barrier: return nil
      case .read, .write, .discard, .writeZeroes: return .empty
      }
    }
    if operation.writes, geometry.isReadOnly { return .readOnly }
    // Subtracting: a sum could overflow (`vbd_translate`, Linux).
    guard sector <= geometry.sectorCount, sectorCount <= geometry.sectorCount - sector else { return .outOfRange }
    if (sector | sectorCount) & UInt64(geometry.sectorByteCount / 512 - 1) != 0 { return .unaligned }
    if operation == .discard, !store.supportsDiscard { return .notSupported }
    return nil
  }

  /// Starts a request with its vectors, at `sector` (512 bytes each). The range must have passed ``refusal(of:sector:sectorCount:)``.
  /// The client's `completed(tag:status:)` follows, maybe before this returns.
  public func submit(_ request: Int, _ operation: BlockOperation, sector: UInt64, tag: UInt64) {
    precondition(operation != .discard && operation != .writeZeroes, "a discard has a range and no memory")
    var byteCount = 0
    let first = Int(pool.slots[request].firstVector)
    for index in first..<first + Int(pool.slots[request].vectorCount) { byteCount += pool.table[index].byteCount }
    enter(request, operation, sector: sector, byteCount: UInt64(byteCount), tag: tag)
  }

  /// Starts a discard of `sectorCount` sectors. As ``submit(_:_:sector:tag:)`` otherwise.
  public func submitDiscard(_ request: Int, sector: UInt64, sectorCount: UInt64, tag: UInt64) {
    enter(request, .discard, sector: sector, byteCount: sectorCount * 512, tag: tag)
  }

  /// Makes `sectorCount` sectors zeros. `mayUnmap`: their space may be given back. As ``submit(_:_:sector:tag:)`` otherwise.
  public func submitWriteZeroes(_ request: Int, sector: UInt64, sectorCount: UInt64, mayUnmap: Bool, tag: UInt64) {
    pool.slots[request].mayUnmap = mayUnmap
    enter(request, .writeZeroes, sector: sector, byteCount: sectorCount * 512, tag: tag)
  }

  private func enter(_ request: Int, _ operation: BlockOperation, sector: UInt64, byteCount: UInt64, tag: UInt64) {
    precondition(pool.slots[request].step == .building, "request \(request) was submitted already")
    assert(refusalUncounted(operation, sector: sector, sectorCount: byteCount / 512) == nil, "a request that was not checked")
    pool.slots[request].tag = tag
    pool.slots[request].operation = operation
    // An empty flush may name any sector.
    pool.slots[request].byteOffset = byteCount == 0 ? 0 : sector * 512
    pool.slots[request].byteCount = byteCount
    count(operation, byteCount)
    if state.value.isLimited { spend(operation, byteCount: byteCount) }
    admit(request)
  }

  private func count(_ operation: BlockOperation, _ byteCount: UInt64) {
    switch operation {
    case .read:
      statistics.reads &+= 1
      statistics.readByteCount &+= byteCount
      return
    case .write: statistics.writes &+= 1
    case .flush: statistics.flushes &+= 1
    case .barrier: statistics.barriers &+= 1
    case .discard:
      statistics.discards &+= 1
      statistics.discardedByteCount &+= byteCount
      return
    case .writeZeroes: statistics.writes &+= 1
    }
    statistics.writtenByteCount &+= byteCount
  }
}
