import EventLoop
import SharedMemory
import SystemPackage
import Uring

// A disk that a script serves: each operation is one call of it, on its worker's thread. The requests wait in line here.
extension BlockEngine {
  /// Has the script do the operation of a request's step, now or when it is free.
  func askScript(_ worker: ScriptWorker, _ request: Int) {
    if state.value.scriptIsBusy { return state.value.scripted.append(request, in: &pool) }
    state.value.scriptIsBusy = true
    let slot = pool.slots[request]
    let offset = slot.byteOffset + slot.doneByteCount
    let byteCount = Int(min(slot.byteCount - slot.doneByteCount, UInt64(ScriptWorker.byteLimit)))
    var fillsWithZeros = false
    let call: DiskScript.Request
    switch slot.step {
    case .flushBefore, .flushAfter: call = .flush
    case .discard: call = .discard(byteCount: slot.byteCount, offset: offset)
    case .zero, .zeroByHole:
      fillsWithZeros = true
      call = .write(byteCount: Int(slot.byteCount), offset: offset)
    case .transfer where slot.operation == .read: call = .read(byteCount: byteCount, offset: offset)
    case .transfer:
      call = .write(byteCount: byteCount, offset: offset)
      exchange(worker, slot, byteCount: byteCount)
    case .free, .building, .held: preconditionFailure("request \(request) has nothing to do")
    }
    guard let loop else { preconditionFailure("the engine has left its loop") }
    let engine = ScriptedEngine(self)
    worker.begin(call, fillsWithZeros: fillsWithZeros) { answer in
      loop.execute { engine.value.scriptAnswered(request, answer) }
    }
  }

  private func scriptAnswered(_ request: Int, _ answer: ScriptWorker.Answer) {
    guard case .script(let worker) = store.kind else { preconditionFailure("no script") }
    let slot = pool.slots[request]
    if answer.result > 0, slot.step == .transfer, slot.operation == .read { exchange(worker, slot, byteCount: Int(answer.result)) }
    if let line = answer.line, reportLimit.value.allows(now: clock.nowNanoseconds) {
      reportLimit.value.spend(1, now: clock.nowNanoseconds)
      store.onFailure?(line)
    }
    state.value.scriptIsBusy = false
    // The next one first: it was there before what this request may still have to do.
    if !state.value.scripted.isEmpty { askScript(worker, state.value.scripted.removeFirst(in: &pool)) }
    operationEnded(request, result: answer.result)
  }

  /// Moves the next `byteCount` bytes of a request between its memory and the worker's.
  private func exchange(_ worker: ScriptWorker, _ slot: RequestPool.Slot, byteCount: Int) {
    var offset = 0
    var index = Int(slot.firstVector + slot.doneVectorCount)
    while offset < byteCount {
      let (address, length) = pool.table[index]
      let vector = SharedVector(address: address, byteCount: min(length, byteCount - offset))
      // SAFETY: the transport keeps a request's memory mapped until its completion, which comes after this (`append`).
      if slot.operation == .read { unsafe worker.exchange.copyOut(at: offset, to: vector) } else { unsafe worker.exchange.copyIn(vector, at: offset) }
      offset += vector.byteCount
      index += 1
    }
  }
}

/// The engine, on its way through the worker's thread and back to its loop.
private struct ScriptedEngine: @unchecked Sendable {
  // SAFETY of @unchecked: only carried by the worker's thread, and used on the loop's. The engine outlives its calls: it is not closed
  // with a request under way.
  let value: BlockEngine
  init(_ engine: BlockEngine) { value = engine }
}
