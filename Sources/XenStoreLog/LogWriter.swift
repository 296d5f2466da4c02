import LinuxSystem
import Synchronization
import SystemPackage

/// Writes batches of commits to the log on a thread of its own, because only a thread can wait for a disk: one write and one sync for
/// each batch, and the next batch is whatever has come together meanwhile.
final class LogWriter: Sendable {
  /// What to write at once.
  struct Batch: Sendable {
    /// Commits, behind room for a frame's header.
    var bytes: [UInt8]
    var firstSequence: UInt64
    var commitCount: Int
    /// The log to go on with behind this batch.
    var next: LogFile?
    /// Write that the daemon stops, and stop.
    var isLast = false

    var lastSequence: UInt64 { firstSequence + UInt64(commitCount) - 1 }
  }

  /// How far the thread has got.
  struct Progress: Sendable {
    /// The last commit that cannot be lost.
    var durableSequence: UInt64
    /// The log in use and how many of its bytes are used.
    var number: UInt64
    var usedByteCount = 0
    /// The disk is full: what is kept ready is all that there will be. Nil when there is room again.
    var shortage: StoreLogError?
    /// Why the thread gave up. Nothing more becomes durable.
    var failure: StoreLogError?
    var hasStopped = false
  }

  private struct State {
    var queue: [Batch] = []
    var wantsRetry = false
    var isWorking = false
    var progress: Progress
    var hasWaiter = false
  }

  private let state: Mutex<State>
  private let wake: OwnedDescriptor
  private let waiter: OwnedDescriptor
  private let reserveByteCount: Int
  /// Called on the writer's thread when there is progress to ``collect()``.
  private let onProgress: @Sendable () -> Void

  /// Starts the thread. It ends with the batch that is the last, or after a failure.
  init(
    file: LogFile, durableSequence: UInt64, options: StoreLogOptions, onProgress: @escaping @Sendable () -> Void
  ) throws(StoreLogError) {
    let progress = Progress(durableSequence: durableSequence, number: file.number)
    state = Mutex(State(progress: progress))
    wake = try StoreLogError.calling("make", "a counter") { () throws(Errno) in try EventDescriptor.create(nonBlocking: false) }
    waiter = try StoreLogError.calling("make", "a counter") { () throws(Errno) in try EventDescriptor.create(nonBlocking: false) }
    reserveByteCount = options.reserveByteCount
    self.onProgress = onProgress
    try StoreLogError.calling("start", "the log's thread") { () throws(Errno) in
      try SystemThread.start(name: "store-log") { [self] in run(file) }
    }
  }

  /// Queues a batch: what is queued when the thread is free is written at once.
  func submit(_ batch: consuming Batch) {
    let batch = batch
    let wasIdle = state.withLock { state in
      let wasIdle = !state.isWorking
      // Behind a batch that changes the log comes another one: the snapshot that goes with the new log must have all before it.
      if let last = state.queue.indices.last, state.queue[last].next == nil, !state.queue[last].isLast {
        if state.queue[last].commitCount == 0 { state.queue[last].firstSequence = batch.firstSequence }
        state.queue[last].bytes.append(contentsOf: batch.bytes[Frame.headerByteCount...])
        state.queue[last].commitCount += batch.commitCount
        state.queue[last].next = batch.next
        state.queue[last].isLast = batch.isLast
      } else {
        state.queue.append(batch)
      }
      state.isWorking = true
      return wasIdle
    }
    if wasIdle { EventDescriptor.signal(wake) }
  }

  /// Tries again to make room that was not there.
  func retryReserve() {
    let wasIdle = state.withLock { state in
      state.wantsRetry = true
      defer { state.isWorking = true }
      return !state.isWorking
    }
    if wasIdle { EventDescriptor.signal(wake) }
  }

  /// How far the thread has got now.
  func collect() -> Progress { state.withLock { $0.progress } }

  /// Waits until everything that was submitted cannot be lost, or until the thread has given up.
  func waitUntilIdle() {
    while true {
      let isIdle = state.withLock { state in
        if !state.isWorking || state.progress.failure != nil || state.progress.hasStopped { return true }
        state.hasWaiter = true
        return false
      }
      if isIdle { return }
      EventDescriptor.drain(waiter)
    }
  }

  // MARK: The thread

  private enum Task {
    case batch(Batch)
    case reserve
  }

  private func run(_ file: LogFile) {
    var file = file
    while true {
      EventDescriptor.drain(wake)
      while let task = nextTask() {
        do throws(StoreLogError) {
          if case .batch(let batch) = task {
            try write(batch, to: &file)
            if batch.isLast { return }
          }
        } catch {
          return finish { $0.failure = error }
        }
        reserve(in: file)
      }
    }
  }

  private func nextTask() -> Task? {
    let (task, tellsWaiter): (Task?, Bool) = state.withLock { state in
      if !state.queue.isEmpty { return (.batch(state.queue.removeFirst()), false) }
      if state.wantsRetry {
        state.wantsRetry = false
        return (.reserve, false)
      }
      state.isWorking = false
      defer { state.hasWaiter = false }
      return (nil, state.hasWaiter)
    }
    if tellsWaiter { EventDescriptor.signal(waiter) }
    return task
  }

  private func write(_ batch: Batch, to file: inout LogFile) throws(StoreLogError) {
    if batch.commitCount > 0 {
      try file.append(batch.bytes, kind: .commits, sequence: batch.firstSequence, entryCount: batch.commitCount)
    }
    if batch.isLast {
      let end = [UInt8](repeating: 0, count: Frame.headerByteCount)
      try file.append(end, kind: .end, sequence: batch.firstSequence + UInt64(batch.commitCount), entryCount: 0)
    }
    if let next = batch.next { file = next }
    let current = file
    finish { progress in
      if batch.commitCount > 0 { progress.durableSequence = batch.lastSequence }
      progress.number = current.number
      progress.usedByteCount = current.position
      progress.hasStopped = batch.isLast
    }
  }

  /// Keeps room behind the log's end, ahead of need.
  private func reserve(in file: LogFile) {
    var shortage: StoreLogError?
    if file.room < reserveByteCount {
      do throws(StoreLogError) { try file.grow(by: reserveByteCount) } catch { shortage = error }
    }
    let hasChanged = state.withLock { state in
      defer { state.progress.shortage = shortage }
      return state.progress.shortage != shortage
    }
    if hasChanged { onProgress() }
  }

  private func finish(_ change: (inout Progress) -> Void) {
    let tellsWaiter = state.withLock { state in
      change(&state.progress)
      guard state.progress.failure != nil || state.progress.hasStopped else { return false }
      defer { state.hasWaiter = false }
      return state.hasWaiter
    }
    if tellsWaiter { EventDescriptor.signal(waiter) }
    onProgress()
  }
}
