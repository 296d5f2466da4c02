import EventLoop
import Logging
public import XenStoreLog

extension XenStoreServer {
  /// Keeps the store in `log`, which was opened with this server's core: replies and events leave when what they tell of cannot be lost.
  ///
  /// When the disk is full, changes are answered with ENOSPC until it has room again. When it fails, `onFailure` is called: nothing
  /// that changes the store is acknowledged any more, and the process should end, because only a start from the disk knows what is on it.
  public func keep(in log: StoreLog, onFailure: @escaping (StoreLogError) -> Void) {
    precondition(journal == nil, "the store is kept already")
    let journal = StoreJournal(log: log)
    self.journal = journal
    loop.attach(journal)
    log.onProgress = { [unowned self] in flush() }
    log.onFailure = onFailure
    log.onShortage = { [unowned self] shortage in
      if let shortage {
        logger.error("store: changes are refused: \(shortage)")
        self.journal?.watchForRoom()
      } else {
        logger.notice("store: there is room on the disk again; changes are accepted")
      }
    }
    log.onCompactionFailure = { [unowned self] error in logger.warning("store: the log is not shortened for now: \(error)") }
  }

  /// Whether the store is kept on disk.
  public var isKept: Bool { journal != nil }

  /// What the log's directory is held by, for the next program in this process; nil for a store in memory.
  public var logLock: Int32? { journal?.log.inheritance }

  /// Whether the log is in order: no failure, and room on the disk.
  public var logIsSound: Bool { journal.map { $0.log.failure == nil && $0.log.shortage == nil } ?? true }

  /// Waits until everything that was committed so far cannot be lost: for what is acknowledged in another way than by the store's
  /// replies. Does nothing for a store in memory. False when the disk has failed.
  @discardableResult
  public func makeDurable() -> Bool { journal?.log.waitUntilDurable() ?? true }
}
