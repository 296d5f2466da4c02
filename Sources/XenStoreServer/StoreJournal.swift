import EventLoop
import XenStoreLog

/// Gives what a turn has committed to the disk, all at once, at the end of the turn: clients that ask at the same time share one sync.
final class StoreJournal: LoopSource {
  /// How often to look for room while the disk is full.
  private static let retryNanoseconds: UInt64 = 1_000_000_000

  let log: StoreLog
  private var retry: LoopTimer?

  init(log: StoreLog) { self.log = log }

  override func service() -> Service {
    log.submit()
    return .idle
  }

  /// Sources that were served later may have committed something.
  override func prepareToSleep() -> Bool {
    if log.hasPendingCommits { log.submit() }
    return false
  }

  /// Looks for room again and again until there is some.
  func watchForRoom() {
    retry = loop.schedule(afterNanoseconds: StoreJournal.retryNanoseconds) { [weak self] in
      guard let self, log.shortage != nil else { return }
      log.retryShortage()
      watchForRoom()
    }
  }

  func close() {
    retry?.cancel()
    if loop != nil { loop.detach(self) }
    log.close()
  }
}
