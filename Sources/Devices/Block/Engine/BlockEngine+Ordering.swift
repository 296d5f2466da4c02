import SharedMemory

// Barriers act on the whole disk, across queues: everything before ends, then the barrier, then what came after.
extension BlockEngine {
  /// Runs a request now, or holds it until the barrier before it has ended.
  func admit(_ request: Int) {
    let isBarrier = pool.slots[request].operation == .barrier
    if barrierIsRunning || !held.isEmpty || (isBarrier && runningCount > 0) {
      pool.slots[request].step = .held
      held.append(request, in: &pool)
    } else {
      run(request)
    }
  }

  private func run(_ request: Int) {
    runningCount += 1
    if pool.slots[request].operation == .barrier { barrierIsRunning = true }
    start(request)
  }

  /// A request has ended in every respect: tells the client, and lets those go that waited for it.
  func finish(_ request: Int, _ status: BlockStatus) {
    let slot = pool.slots[request]
    runningCount -= 1
    if slot.operation == .barrier { barrierIsRunning = false }
    // Straight from the state: a coroutine here would allocate its frame, once a request.
    if let client = state.value.client { client.completed(tag: slot.tag, status: status) }
    pool.end(request)
    releaseHeld()
  }

  private func releaseHeld() {
    // Not from within: a request that ends at once would nest once more for each held one.
    guard !held.isEmpty, !isReleasingHeld else { return }
    isReleasingHeld = true
    defer { isReleasingHeld = false }
    while !held.isEmpty, !barrierIsRunning {
      if pool.slots[Int(held.first)].operation == .barrier, runningCount > 0 { return }
      run(held.removeFirst(in: &pool))
    }
  }
}
