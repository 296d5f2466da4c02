import CLinuxShims
import Glibc
import LinuxSystem
public import SharedMemory
import Synchronization
public import Uring

/// One thread, one io_uring, its own pace.
///
/// A turn: take the completions, run what other threads asked for, let each source serve its queues within a budget,
/// submit everything prepared in one call, and only when there is nothing left, and nobody wants to keep polling, sleep.
/// Nothing is done in reaction to an event but at its place in the turn, so that batches form by themselves under load.
///
/// Made and run on one thread. Only ``execute(_:)``, ``stop()`` and what says so may be called from others.
public final class EventLoop: @unchecked Sendable {
  // SAFETY of @unchecked: everything but `mailbox` and `stopRequested` is touched by the loop's thread only (asserted).

  public struct Configuration: Sendable {
    /// Submission queue entries.
    public var entries: UInt32 = 256
    /// Operations in flight at once, over all sources.
    public var operationLimit = 8192
    public init() {}
  }

  /// The ring, for sources that prepare operations with ``begin(_:tag:)``.
  public var uring: Uring {
    @inlinable @inline(__always) _read { yield ring.value }
    @inlinable @inline(__always) _modify { yield &ring.value }
  }
  // In cells: each operation would otherwise be checked for overlapping accesses, three times.
  @usableFromInline let ring: FixedCell<Uring>
  private let inFlight: FixedCell<InFlightTable>
  public let name: String

  private var table: InFlightTable {
    @inline(__always) _read { yield inFlight.value }
    @inline(__always) _modify { yield &inFlight.value }
  }
  private var sources: [LoopSource?] = []
  private var freeSourceIDs: [UInt32] = []
  /// Those that take turns, lent to each.
  private let turns = FixedCell(TurnList())
  var timers: TimerQueue {
    @inline(__always) _read { yield timerQueue.value }
    @inline(__always) _modify { yield &timerQueue.value }
  }
  private let timerQueue = FixedCell(TimerQueue())
  var registeredFiles = RegisteredFiles()
  private let thread: pthread_t
  private let mailbox = Mutex<[@Sendable () -> Void]>([])
  private let stopRequested = Atomic<Bool>(false)
  private let wakeDescriptor: OwnedDescriptor
  private var wakeSource: WakeSource!
  private var isShuttingDown = false
  /// Turns that ended in sleep, for statistics.
  public private(set) var sleepCount: UInt64 = 0

  /// Sets the ring up on the calling thread, which must be the one that runs the loop.
  public init(name: String, configuration: Configuration = Configuration()) throws(UringError) {
    self.name = name
    self.ring = FixedCell(try Uring(entries: configuration.entries))
    self.inFlight = FixedCell(InFlightTable(capacity: configuration.operationLimit))
    self.thread = pthread_self()
    do { self.wakeDescriptor = try EventDescriptor.create() } catch { throw .system(operation: "eventfd", error) }
    let wake = WakeSource(descriptor: wakeDescriptor.rawValue)
    self.wakeSource = wake
    attach(wake)
    wake.arm()
  }

  /// Whether the caller is on the loop's thread.
  public var isCurrent: Bool { pthread_equal(pthread_self(), thread) != 0 }

  // MARK: From any thread

  /// Runs `work` on the loop's thread in one of its next turns. Safe from any thread.
  public func execute(_ work: @escaping @Sendable () -> Void) {
    let wasEmpty = mailbox.withLock { mailbox in
      mailbox.append(work)
      return mailbox.count == 1
    }
    if wasEmpty { EventDescriptor.signal(wakeDescriptor) }
  }

  /// Runs `work` on the loop's thread and hands its result over. Safe from any task.
  public func run<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
      execute { continuation.resume(returning: work()) }
    }
  }

  /// Makes ``run()`` return after the current turn. Safe from any thread.
  public func stop() {
    stopRequested.store(true, ordering: .releasing)
    EventDescriptor.signal(wakeDescriptor)
  }

  // MARK: Sources

  /// Starts serving `source`.
  public func attach(_ source: LoopSource) {
    assertOnLoop()
    precondition(source.id == .max, "source is attached already")
    if let id = freeSourceIDs.popLast() {
      source.id = id
      sources[Int(id)] = source
    } else {
      source.id = UInt32(sources.count)
      sources.append(source)
    }
    source.loop = self
    if source.takesTurns { turns.value.append(source) }
  }

  /// Stops serving `source`. It must have no operations in flight.
  public func detach(_ source: LoopSource) {
    assertOnLoop()
    guard source.id != .max, !isShuttingDown else { return }
    sources[Int(source.id)] = nil
    turns.value.remove(source)
    freeSourceIDs.append(source.id)
    source.id = .max
    source.loop = nil
  }

  /// User data for one operation of `source`, whose completion will carry `tag`; nil when too many are in flight.
  @inline(__always)
  public func begin(_ source: LoopSource, tag: UInt64) -> UInt64? {
    if uring.freeSubmissionCount == 0 { submitNow() }
    return table.begin(InFlightTable.Entry(owner: source.id, tag: tag))
  }

  /// Operations in flight, over all sources.
  public var operationsInFlight: Int { table.count }

  // MARK: Running

  /// Turns until ``stop()``.
  public func run() {
    assertOnLoop()
    while !stopRequested.load(ordering: .acquiring) { turn() }
    stopRequested.store(false, ordering: .releasing)
    runMailbox()
    shutDown()
  }

  /// Cancels what is in flight, waits until the kernel has let go of it, and detaches every source. Ends ``run()``; callers
  /// of ``turn(maySleep:)`` call it themselves, so that no operation outlives the memory it was given.
  public func shutDown() {
    assertOnLoop()
    isShuttingDown = true
    var attempts = 0
    var isWaitedInVain = true
    while table.count > 0, attempts < 1000 {
      attempts += 1
      // A cancellation completes at once, and ends the wait: asked for each time, it would use up the attempts in no time.
      if isWaitedInVain { precondition(uring.prepareCancelAll(userData: .max)) }
      do { try uring.submit(waitingFor: 1, timeoutNanoseconds: 10_000_000) } catch { fatalError("io_uring_enter: \(error)") }
      uring.fetchCompletions()
      isWaitedInVain = true
      while let completion = uring.takeCompletion() {
        isWaitedInVain = false
        _ = table.complete(completion.userData, isLast: !completion.hasMore)
      }
    }
    precondition(table.count == 0, "the kernel still holds \(table.count) operations of loop \(name)")
    for source in sources {
      source?.id = .max
      source?.loop = nil
    }
    sources.removeAll()
    turns.value.removeAll()
    wakeSource = nil
  }

  /// One turn: for callers that mix the loop with work of their own (tests, benchmarks). `maySleep` false never blocks.
  public func turn(maySleep: Bool = true) {
    assertOnLoop()
    drainCompletions()
    if !timers.isEmpty {
      let now = MonotonicClock.nowNanoseconds
      while let call = timers.takeDue(now: now) { call() }
    }
    turns.value.beginLending()
    defer { turns.value.endLending() }
    var worked = false
    // Those that come within the turn have theirs in the next one.
    for index in 0..<turns.value.count where turns.value.withSource(index, { $0.service() != .idle }) { worked = true }
    // Those that were taken off are let go of before the loop sleeps.
    turns.value.closeGaps()
    if worked || !maySleep {
      if uring.preparedCount > 0 { submitNow() }
      return
    }
    if spinWhileWanted() { return }
    var pending = false
    for index in 0..<turns.value.count where turns.value.withSource(index, { $0.prepareToSleep() }) { pending = true }
    if pending || uring.hasCompletions {
      if uring.preparedCount > 0 { submitNow() }
      return
    }
    // The signal of a stop may have been taken together with that of the mailbox, in this very turn: no other one comes.
    if stopRequested.load(ordering: .acquiring) { return }
    sleepCount &+= 1
    let timeout = timers.nanosecondsUntilNext(now: MonotonicClock.nowNanoseconds) ?? -1
    do { try uring.submit(waitingFor: 1, timeoutNanoseconds: timeout) } catch { fatalError("io_uring_enter: \(error)") }
  }

  /// Looks at the sources that want it until one has work. True when the turn should start over.
  private func spinWhileWanted() -> Bool {
    var submitted = false
    while true {
      let now = MonotonicClock.nowNanoseconds
      var wanted = false
      for index in 0..<turns.value.count where turns.value.withSource(index, { $0.wantsPolling(now: now) }) { wanted = true }
      guard wanted else { return false }
      if timers.nanosecondsUntilNext(now: now) == 0 { return true }
      if !submitted, uring.preparedCount > 0 { submitNow() }
      submitted = true
      for _ in 0..<16 {
        if uring.hasCompletions { return true }
        for index in 0..<turns.value.count where turns.value.withSource(index, { $0.hasWork() }) { return true }
        spinPause()
      }
      if stopRequested.load(ordering: .relaxed) { return true }
    }
  }

  private func drainCompletions() {
    uring.fetchCompletions()
    // Kept from one completion to the next of the same source, because to take it out costs two atomic operations.
    var source: LoopSource?
    while let completion = uring.takeCompletion() {
      guard let entry = table.complete(completion.userData, isLast: !completion.hasMore) else { continue }
      // A source is detached only when it has nothing in flight; an empty place is a bug of ours that costs one completion.
      if source?.id != entry.owner { source = sources[Int(entry.owner)] }
      source?.completed(tag: entry.tag, result: completion.result, isLast: !completion.hasMore)
    }
  }

  /// Gives what is prepared to the kernel without waiting.
  public func submitNow() {
    do { try uring.submit() } catch { fatalError("io_uring_enter: \(error)") }
  }

  func runMailbox() {
    let work = mailbox.withLock { mailbox in
      let work = mailbox
      mailbox.removeAll(keepingCapacity: true)
      return work
    }
    for item in work { item() }
  }

  func assertOnLoop() { assert(isCurrent, "called from another thread than the loop's") }
}

/// Wakes the loop when another thread has put something into its mailbox.
private final class WakeSource: LoopSource {
  private let descriptor: Int32
  init(descriptor: Int32) { self.descriptor = descriptor }

  override var takesTurns: Bool { false }

  func arm() {
    guard let userData = loop.begin(self, tag: 0) else { fatalError("no room to watch the mailbox") }
    let prepared = loop.uring.preparePoll(.descriptor(descriptor), events: UInt32(POLLIN), userData: userData)
    precondition(prepared)
  }

  override func completed(tag: UInt64, result: Int32) {
    var count: UInt64 = 0
    _ = unsafe Glibc.read(descriptor, &count, 8)
    arm()
    loop.runMailbox()
  }
}
