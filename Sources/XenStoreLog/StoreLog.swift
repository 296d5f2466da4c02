import LinuxSystem
import SystemPackage
import XenInterface
public import XenStoreCore
import XenStoreWire

/// Keeps a store on disk: each commit is in a log before anything of it is shown, and snapshots keep the log short.
///
/// Belongs to the thread that the core belongs to. Disks are waited for on other threads, which come back through `post`.
/// ```swift
/// let log = try StoreLog(directory: "/var/lib/pvio", core: core) { work in loop.execute(work) }
/// log.onProgress = { server.flush() }
/// log.submit()      // at the end of each turn: what was collected is written together
/// ```
public final class StoreLog: @unchecked Sendable {
  // SAFETY of @unchecked: everything that changes is touched on the core's thread only, to which `post` brings what other threads report.

  /// What was found when the store was opened.
  public let recovery: StoreRecovery
  /// Commits became durable: the core has output to send.
  public var onProgress: (() -> Void)?
  /// The store can no longer be kept. Nothing that changes it will be acknowledged any more; the process should end.
  public var onFailure: ((StoreLogError) -> Void)?
  /// Changes are refused for now because the disk is full (an error), or accepted again (nil).
  public var onShortage: ((StoreLogError?) -> Void)?
  /// The log was not replaced by a snapshot, and will be tried to be later: it grows meanwhile.
  public var onCompactionFailure: ((StoreLogError) -> Void)?

  /// Why the store can no longer be kept.
  public private(set) var failure: StoreLogError?
  /// Why changes are refused for now.
  public private(set) var shortage: StoreLogError?
  /// Bytes of the log in use.
  public private(set) var logByteCount = 0
  /// Snapshots that were written since the store was opened.
  public private(set) var snapshotCount = 0

  private let core: XenStoreCore
  private let directory: StateDirectory
  private let options: StoreLogOptions
  private let post: @Sendable (@escaping @Sendable () -> Void) -> Void
  private var lock: LockedFile?
  private var writer: LogWriter!

  /// Commits that were not submitted yet, behind room for a frame's header.
  private var pending = [UInt8](repeating: 0, count: Frame.headerByteCount)
  private var pendingFirstSequence: UInt64 = 0
  private var pendingCount = 0
  private var hasStopped = false

  /// How far the replacement of the log has got.
  private enum Compaction {
    case none
    /// The next log is being made.
    case preparing
    /// The next log is there; the next batch is the last of the old one.
    case prepared(LogFile)
    /// The snapshot is being written.
    case writing
  }
  private var compaction = Compaction.none
  private var lastNumber: UInt64
  private var snapshotByteCount: Int
  /// Bytes of log from which on compaction is tried again.
  private var compactionThreshold: Int

  /// Opens the store in `directory`, which exists, into an empty core, and keeps what the core commits from now on. Reads and writes as
  /// much as the store has. `post` brings work to the core's thread, from any thread.
  public convenience init(
    directory path: String, core: XenStoreCore, options: StoreLogOptions = StoreLogOptions(),
    post: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
  ) throws(StoreLogError) {
    let directory = StateDirectory(path: path)
    let lock: LockedFile
    do throws(Errno) {
      lock = try LockedFile(path: directory.lock)
    } catch {
      guard error == .wouldBlock else { throw .system(operation: "lock", path: directory.lock, error) }
      throw .inUse(directory: path, processID: LockedFile.holder(of: directory.lock))
    }
    let (recovery, end) = try StoreRecovery.run(in: directory, into: core, acceptsLoss: options.acceptsLoss)
    try self.init(directory, core: core, lock: consume lock, recovery, end, options: options, post: post)
  }

  /// Goes on with a store that an earlier program in this process has kept in `directory` and handed over in memory: `core` has everything
  /// that is on disk. `lock` is what that program held the directory by, from ``inheritance``.
  public convenience init(
    continuing path: String, lock descriptor: Int32, core: XenStoreCore, options: StoreLogOptions = StoreLogOptions(),
    post: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
  ) throws(StoreLogError) {
    let directory = StateDirectory(path: path)
    let lock = try StoreLogError.calling("go on holding", directory.lock) { () throws(Errno) in
      try LockedFile(inherited: descriptor, path: directory.lock)
    }
    let contents = try directory.contents()
    var end = StoreRecovery.End()
    end.lastNumber = max(contents.snapshots.last ?? 0, contents.logs.last ?? 0)
    end.unfinishedFiles = contents.unfinished
    var recovery = StoreRecovery()
    recovery.lastSequence = core.lastCommitSequence
    try self.init(directory, core: core, lock: consume lock, recovery, end, options: options, post: post)
  }

  /// What the next program in this process goes on with.
  public var inheritance: Int32? { lock?.inheritance.descriptor }

  private init(
    _ directory: StateDirectory, core: XenStoreCore, lock: consuming LockedFile, _ recovery: StoreRecovery, _ end: StoreRecovery.End,
    options: StoreLogOptions, post: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
  ) throws(StoreLogError) {
    // What was found is written anew, so that nothing is ever appended behind what a crash left.
    let number = end.lastNumber + 1
    let image = core.image()
    let file = try LogFile(number: number, in: directory, byteCount: StoreLog.logByteCount(snapshotByteCount: 0, options), options: options)
    snapshotByteCount = try SnapshotFile.write(image, number: number, in: directory, options: options)
    for path in end.damagedFiles {
      try StoreLogError.calling("rename", path) { () throws(Errno) in try StorageFile.rename(path, to: path + StateDirectory.damagedSuffix) }
    }
    for path in end.unfinishedFiles { try? StorageFile.remove(path) }
    directory.removeEverything(before: number)

    self.recovery = recovery
    self.core = core
    self.directory = directory
    self.options = options
    self.post = post
    self.lock = consume lock
    lastNumber = number
    compactionThreshold = 0
    compactionThreshold = threshold
    writer = try LogWriter(file: file, durableSequence: recovery.lastSequence, options: options) { [weak self] in
      post { [weak self] in self?.collect() }
    }
    core.keepCommits { [unowned self] in append($0) }
  }

  // MARK: Writing

  private func append(_ commit: XenStoreCommit) {
    if pendingCount == 0 { pendingFirstSequence = commit.sequence }
    pendingCount += 1
    ChangeCoding.append(commit, to: &pending)
  }

  /// Whether commits wait for ``submit()``.
  public var hasPendingCommits: Bool { pendingCount > 0 }

  /// Gives everything that was committed since the last time to the disk, to be written and synced together. Does not wait.
  public func submit() {
    guard !hasStopped, failure == nil else { return }
    switch compaction {
    case .prepared(let next):
      // The image has what the old log has with this batch: the new log and the snapshot begin where the old log ends.
      let image = core.image()
      submitPending(next: next)
      writeSnapshot(image, number: next.number)
    case .none, .preparing, .writing:
      if pendingCount > 0 { submitPending() }
      if case .none = compaction, logByteCount > compactionThreshold { prepareNextLog() }
    }
  }

  private func submitPending(next: LogFile? = nil, isLast: Bool = false) {
    let sequence = pendingCount > 0 ? pendingFirstSequence : core.lastCommitSequence + 1
    writer.submit(LogWriter.Batch(bytes: pending, firstSequence: sequence, commitCount: pendingCount, next: next, isLast: isLast))
    pending = [UInt8](repeating: 0, count: Frame.headerByteCount)
    pendingCount = 0
  }

  /// Waits until everything that was committed cannot be lost: for what is acknowledged in another way than by the core's replies.
  /// False when that cannot be.
  @discardableResult
  public func waitUntilDurable() -> Bool {
    submit()
    writer.waitUntilIdle()
    collect()
    return failure == nil
  }

  /// Ends in order: everything is on disk, and the next start knows that nothing is missing. Nothing can be committed afterwards.
  public func close() {
    guard !hasStopped else { return }
    if failure == nil {
      submitPending(isLast: true)
      writer.waitUntilIdle()
      collect()
    }
    hasStopped = true
    lock = nil
  }

  /// Takes over what the writer has got done.
  private func collect() {
    guard !hasStopped else { return }
    let progress = writer.collect()
    logByteCount = progress.usedByteCount
    if progress.durableSequence > core.durableCommitSequence {
      core.commitsAreDurable(upTo: progress.durableSequence)
      onProgress?()
    }
    if shortage != progress.shortage {
      shortage = progress.shortage
      core.changeRefusal = shortage == nil ? nil : .noSpace
      onShortage?(shortage)
    }
    if let error = progress.failure, failure == nil {
      failure = error
      core.changeRefusal = .inputOutput
      onFailure?(error)
    }
  }

  /// Looks whether a disk that was full has room again. Call it from time to time while ``shortage`` says so.
  public func retryShortage() { if shortage != nil, failure == nil, !hasStopped { writer.retryReserve() } }

  // MARK: Compaction

  private var threshold: Int { max(options.compactionByteCount, 2 * snapshotByteCount) }

  private static func logByteCount(snapshotByteCount: Int, _ options: StoreLogOptions) -> Int {
    // A long log need not be prepared as a whole: it grows ahead of need.
    FileHeader.byteCount + min(max(options.compactionByteCount, 2 * snapshotByteCount), 32 << 20) + options.reserveByteCount
  }

  private func prepareNextLog() {
    compaction = .preparing
    lastNumber += 1
    let (number, directory, options) = (lastNumber, directory, options)
    let byteCount = StoreLog.logByteCount(snapshotByteCount: snapshotByteCount, options)
    inBackground("store-log-next") { () throws(StoreLogError) in
      try LogFile(number: number, in: directory, byteCount: byteCount, options: options)
    } then: { log, result in
      switch result {
      case .success(let file): log.compaction = .prepared(file)
      case .failure(let error): log.putCompactionOff(error)
      }
    }
  }

  private func writeSnapshot(_ image: XenStoreImage, number: UInt64) {
    compaction = .writing
    let (directory, options) = (directory, options)
    inBackground("store-snapshot") { () throws(StoreLogError) in
      let byteCount = try SnapshotFile.write(image, number: number, in: directory, options: options)
      directory.removeEverything(before: number)
      return byteCount
    } then: { log, result in
      switch result {
      case .success(let byteCount):
        log.snapshotByteCount = byteCount
        log.snapshotCount += 1
        log.compactionThreshold = log.threshold
        log.compaction = .none
      case .failure(let error): log.putCompactionOff(error)
      }
    }
  }

  private func putCompactionOff(_ error: StoreLogError) {
    compaction = .none
    compactionThreshold = logByteCount + options.compactionByteCount
    onCompactionFailure?(error)
  }

  /// Does work that waits for the disk on a thread of its own, and hands its result to the core's thread.
  private func inBackground<Value: Sendable>(
    _ name: String, _ work: @escaping @Sendable () throws(StoreLogError) -> Value,
    then finish: @escaping @Sendable (StoreLog, Result<Value, StoreLogError>) -> Void
  ) {
    let post = post
    do throws(Errno) {
      try SystemThread.start(name: name) { [self] in
        let result: Result<Value, StoreLogError>
        do throws(StoreLogError) { result = .success(try work()) } catch { result = .failure(error) }
        post { finish(self, result) }
      }
    } catch {
      finish(self, .failure(.system(operation: "start", path: "a thread", error)))
    }
  }
}
