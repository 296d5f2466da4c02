import EventLoop
import LinuxSystem
import SharedMemory
import SystemPackage
import Uring

// A request goes through its steps one io_uring operation at a time; short transfers and long vectors take several.
extension BlockEngine {
  /// Operations that are given to the kernel together. All of a turn in one call costs the least processor time, but the disk
  /// then has nothing to do while they are prepared, and the processor nothing while they are done: with 32 in flight on a
  /// virtio disk 64 together gave 0.80 of bare fio, 8 and 4 gave 0.93, and 1 gave 1.01 at a third more processor time.
  private static let submissionBatch = 4
  /// Most vectors of one operation (`UIO_MAXIOV`).
  private static let vectorsPerOperation: Int32 = 1024

  func start(_ request: Int) {
    switch store.kind {
    case .null:
      finish(request, .okay)
    case .memory:
      transferInMemory(request)
      finish(request, .okay)
    case .script, .file:
      enter(firstStep(of: pool.slots[request]), request)
    }
  }

  private func firstStep(of slot: RequestPool.Slot) -> RequestPool.Step {
    switch slot.operation {
    case .read, .write: .transfer
    case .flush: .flushBefore
    // What was written before must not be lost when the barrier's own data is not.
    case .barrier: slot.byteCount > 0 ? .flushBefore : .flushAfter
    case .discard: .discard
    case .writeZeroes: slot.mayUnmap ? .zeroByHole : .zero
    }
  }

  /// The step after one that is done; nil at the end.
  private func step(after step: RequestPool.Step, of slot: RequestPool.Slot) -> RequestPool.Step? {
    switch step {
    case .flushBefore: slot.byteCount > 0 ? .transfer : nil
    case .transfer: slot.operation == .barrier ? .flushAfter : nil
    case .flushAfter, .discard, .zero, .zeroByHole, .free, .building, .held: nil
    }
  }

  private func enter(_ step: RequestPool.Step, _ request: Int) {
    pool.slots[request].step = step
    if case .script(let worker) = store.kind { return askScript(worker, request) }
    if !prepare(request) { stalled.append(request, in: &pool) }
  }

  func retryStalled() {
    while !stalled.isEmpty {
      let request = stalled.removeFirst(in: &pool)
      if !prepare(request) { return stalled.append(request, in: &pool) }
    }
  }

  /// Prepares the operation of the request's step. False when the ring has no room now.
  private func prepare(_ request: Int) -> Bool {
    guard let loop else { preconditionFailure("the engine has left its loop") }
    if loop.uring.freeSubmissionCount == 0 {
      loop.submitNow()
      if loop.uring.freeSubmissionCount == 0 { return false }
    }
    guard let userData = loop.begin(self, tag: UInt64(request)) else { return false }
    let slot = pool.slots[request]
    let prepared: Bool
    switch slot.step {
    case .flushBefore, .flushAfter:
      prepared = loop.uring.prepareSync(file, dataOnly: true, userData: userData)
    case .discard, .zeroByHole:
      prepared = loop.uring.prepareAllocate(
        file, mode: DiskFile.punchHoleMode, offset: slot.byteOffset, byteCount: slot.byteCount, userData: userData)
    case .zero:
      prepared = loop.uring.prepareAllocate(
        file, mode: DiskFile.zeroRangeMode, offset: slot.byteOffset, byteCount: slot.byteCount, userData: userData)
    case .transfer:
      prepared = prepareTransfer(slot, loop, userData)
    case .free, .building, .held:
      preconditionFailure("request \(request) has nothing to do")
    }
    precondition(prepared, "no room in the submission queue after it was looked at")
    if loop.uring.preparedCount >= Self.submissionBatch { loop.submitNow() }
    return true
  }

  private func prepareTransfer(_ slot: RequestPool.Slot, _ loop: EventLoop, _ userData: UInt64) -> Bool {
    let first = Int(slot.firstVector + slot.doneVectorCount)
    let count = min(slot.vectorCount - slot.doneVectorCount, Self.vectorsPerOperation)
    let offset = slot.byteOffset + slot.doneByteCount
    let isRead = slot.operation == .read
    if count == 1 {
      let (address, byteCount) = pool.table[first]
      if let buffer = registration.buffer(of: slot.region) {
        statistics.fixedTransfers &+= 1
        return isRead
          ? loop.uring.prepareReadFixed(file, buffer: buffer, address: address, byteCount: byteCount, offset: offset, userData: userData)
          : loop.uring.prepareWriteFixed(file, buffer: buffer, address: address, byteCount: byteCount, offset: offset, userData: userData)
      }
      return isRead
        ? loop.uring.prepareRead(file, address: address, byteCount: byteCount, offset: offset, userData: userData)
        : loop.uring.prepareWrite(file, address: address, byteCount: byteCount, offset: offset, userData: userData)
    }
    return isRead
      ? loop.uring.prepareReadVector(file, table: pool.table, first: first, count: Int(count), offset: offset, userData: userData)
      : loop.uring.prepareWriteVector(file, table: pool.table, first: first, count: Int(count), offset: offset, userData: userData)
  }

  // MARK: Completions

  /// The operation of a request's step has ended; `result` is what moved, or a negative `errno`.
  func operationEnded(_ request: Int, result: Int32) {
    let slot = pool.slots[request]
    if result < 0 {
      let errno = Errno(rawValue: -result)
      if errno == .resourceTemporarilyUnavailable || errno == .interrupted {
        stalled.append(request, in: &pool)
        return
      }
      return fail(request, slot, errno)
    }
    if slot.step == .transfer {
      // Nothing moved: the file ends earlier than it did (read), or would have to grow (write).
      if result == 0 { return fail(request, slot, .ioError) }
      advance(request, by: Int(result))
      if pool.slots[request].doneByteCount < slot.byteCount {
        statistics.continuations &+= 1
        return enter(.transfer, request)
      }
    }
    if let next = step(after: slot.step, of: slot) { return enter(next, request) }
    finish(request, .okay)
  }

  /// Takes `byteCount` bytes off the front of what is left to do. A vector that is done is whole again.
  private func advance(_ request: Int, by byteCount: Int) {
    var slot = pool.slots[request]
    slot.doneByteCount += UInt64(byteCount)
    var remaining = byteCount
    while remaining > 0 {
      let index = Int(slot.firstVector + slot.doneVectorCount)
      let (address, length) = pool.table[index]
      if remaining < length {
        pool.table[index] = (address + UInt(remaining), length - remaining)
        slot.doneVectorByteCount += Int32(remaining)
        break
      }
      remaining -= length
      if slot.doneVectorByteCount > 0 {
        pool.table[index] = (address - UInt(slot.doneVectorByteCount), length + Int(slot.doneVectorByteCount))
        slot.doneVectorByteCount = 0
      }
      slot.doneVectorCount += 1
    }
    pool.slots[request] = slot
  }

  private func fail(_ request: Int, _ slot: RequestPool.Slot, _ errno: Errno) {
    if slot.step == .discard, errno == .notSupportedOnSocket {
      // Not a fault: from now on the answer is known beforehand.
      store.supportsDiscard = false
      return finish(request, .notSupported)
    }
    if errno == .notSupportedOnSocket {
      // Not every file system can do both (tmpfs: holes only).
      if slot.step == .zero { return enter(.zeroByHole, request) }
      if slot.step == .zeroByHole { return finish(request, .notSupported) }
    }
    statistics.failures &+= 1
    statistics.lastFailure = BlockFailure(operation: slot.operation, byteOffset: slot.byteOffset + slot.doneByteCount, errno: errno)
    finish(request, .error)
  }
}
