import EventLoop
import Logging
import XenStoreCore
import XenStoreLog

/// Where the store is kept on disk (`--state-dir`), and what was found there.
struct StoreState: Sendable {
  let path: String
  let acceptsLoss: Bool
  /// Bytes of log from which on a snapshot replaces it; nil for the default.
  let logByteCount: Int?

  /// Keeps a store that an earlier daemon in this process has handed over: what is on disk is in `core` already. Loop thread.
  func goOn(_ core: XenStoreCore, lock: Int32, on loop: EventLoop) throws(StoreLogError) -> StoreLog {
    try StoreLog(continuing: path, lock: lock, core: core, options: options) { work in loop.execute(work) }
  }

  private var options: StoreLogOptions {
    var options = StoreLogOptions()
    options.acceptsLoss = acceptsLoss
    if let logByteCount {
      options.compactionByteCount = logByteCount
      options.reserveByteCount = min(options.reserveByteCount, logByteCount)
    }
    return options
  }

  /// Reads the store into an empty core, says what was found, and keeps it from now on. Loop thread.
  func open(_ core: XenStoreCore, on loop: EventLoop, _ logger: Logger) throws(StoreLogError) -> StoreLog {
    let log = try StoreLog(directory: path, core: core, options: options) { work in loop.execute(work) }
    let recovery = log.recovery
    if recovery.isNew {
      logger.info("store: new in \(path)")
    } else {
      let ending = recovery.wasStopped ? "stopped in order" : "not stopped in order"
      logger.info("store: \(path) has commits up to \(recovery.lastSequence), \(recovery.replayedCommitCount) of them from the log; \(ending)")
    }
    if recovery.unfinishedByteCount > 0 {
      logger.notice(
        """
        store: the last write, \(recovery.unfinishedByteCount) bytes behind commit \(recovery.lastSequence), was not finished when the \
        daemon ended; nothing in it was acknowledged
        """)
    }
    if let accepted = recovery.accepted { logger.warning("store: going on without what was lost: \(accepted)") }
    return log
  }
}
