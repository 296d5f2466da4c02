import Broker
import EventLoop
import LinuxSystem
import Logging
import SystemPackage
import XenInterface
import XenPlatform
import XenStoreCore
import XenStoreLog
import XenStoreServer

/// Broker and store of one run directory, on one loop: what `pvio daemon` is, and what `pvio run` has inside.
///
/// It introduces processes to each other and then steps aside: nothing of the data path passes through it.
final class DaemonServices: @unchecked Sendable {
  // SAFETY of @unchecked: `store`, `broker` and `homes` are touched on the loop's thread only; `lock` by start() and, once, stop().
  private let thread: EventLoopThread
  private let directory: RunDirectory
  private var lock: LockedFile?
  private var store: XenStoreServer!
  private var broker: BrokerServer!
  private var homes: DomainHomes!
  private let failures = AsyncStream<CommandFailure?>.makeStream()
  /// With a store on disk, stopping is not the end of the domains: their nodes stay, and the next start makes them again.
  private var keepsDomains = false

  /// Listens in `directory`, which is made. Fails with one line when another daemon is there. With `state`, the store is kept on disk.
  static func start(in directory: RunDirectory, logger: Logger, state: StoreState? = nil) async throws -> DaemonServices {
    if let state { try RunDirectory.create(state.path) }
    try RunDirectory.create("\(directory.path)/xenstored")
    let lock: LockedFile
    do {
      lock = try LockedFile(path: directory.lock)
    } catch .wouldBlock {
      let holder = LockedFile.holder(of: directory.lock).map { "process \($0)" } ?? "another process"
      throw CommandFailure("run directory \(directory.path) is in use by \(holder): stop that daemon, or choose another with --run-dir")
    } catch {
      throw CommandFailure("cannot use run directory \(directory.path): \(error)")
    }
    let thread: EventLoopThread
    do { thread = try EventLoopThread.start(name: "daemon") } catch { throw CommandFailure("\(error)") }
    let services = DaemonServices(thread: thread, directory: directory, lock: consume lock)
    if let failure = await thread.loop.run({ services.open(logger, state) }) {
      thread.stopAndJoin()
      throw failure
    }
    return services
  }

  private init(thread: EventLoopThread, directory: RunDirectory, lock: consuming LockedFile) {
    self.thread = thread
    self.directory = directory
    self.lock = consume lock
  }

  /// Ends every connection, removes the sockets, and gives the run directory up. Call it once.
  func stop() async {
    await thread.loop.run { [self] in
      keepsDomains = store.isKept
      broker.stop()
      store.close()
    }
    thread.stopAndJoin()
    lock = nil
  }

  /// Waits until the daemon cannot go on, and says why; nil when `end` comes first.
  func failure(orUntil end: @escaping @Sendable () async -> Int32) async -> CommandFailure? {
    let continuation = failures.continuation
    Task {
      _ = await end()
      continuation.yield(nil)
    }
    for await failure in failures.stream { return failure }
    return nil
  }

  private func open(_ logger: Logger, _ state: StoreState?) -> CommandFailure? {
    let core = XenStoreCore()
    store = XenStoreServer(loop: thread.loop, core: core, logger: logger)
    if let state {
      do throws(StoreLogError) {
        let log = try state.open(core, on: thread.loop, logger)
        store.keep(in: log) { [continuation = failures.continuation] in continuation.yield(CommandFailure("\($0)")) }
      } catch {
        return CommandFailure("\(error)")
      }
    }
    homes = DomainHomes(core: core)
    broker = BrokerServer(loop: thread.loop, runDirectory: directory.path, logger: logger)
    broker.onDomainCreated = { [unowned self] domain, name throws(PlatformError) in try welcome(domain, name) }
    broker.onDomainDestroyed = { [unowned self] domain in
      store.stopListening(path: directory.sockets(of: domain).store)
      if !keepsDomains { forget(domain) }
    }
    do {
      try store.listen(path: directory.storeSocket, identity: .privileged)
    } catch {
      return CommandFailure("cannot listen on \(directory.storeSocket): \(error)")
    }
    do {
      try broker.start()
    } catch {
      return CommandFailure("cannot listen on \(directory.brokerSocket): \(error)")
    }
    core.asOneCommit {
      core.introduce(.control)
      homes.create(.control, name: "Domain-0")
    }
    welcomeBack(core.domains.filter { $0 != .control }, logger)
    store.flush()
    return nil
  }

  private func welcome(_ domain: DomainID, _ name: String) throws(PlatformError) {
    do {
      try store.listen(path: directory.sockets(of: domain).store, identity: .domain(domain))
    } catch {
      throw .system(operation: "listen on \(directory.sockets(of: domain).store)", error)
    }
    // On a full disk a domain would have no home.
    guard store.core.changeRefusal == nil else {
      store.stopListening(path: directory.sockets(of: domain).store)
      throw .system(operation: "write the home of domain \(domain) to the store", .noSpace)
    }
    store.core.asOneCommit {
      homes.create(domain, name: name)
      store.core.introduce(domain)
    }
    store.flush()
    // The broker acknowledges the domain, not the store.
    store.makeDurable()
  }

  private func forget(_ domain: DomainID) {
    // What goes away goes away on a full disk, too: that is little, and room for it is kept.
    let refusal = store.core.changeRefusal
    store.core.changeRefusal = nil
    store.core.asOneCommit {
      homes.remove(domain)
      store.core.release(domain)
    }
    store.core.changeRefusal = refusal
    store.flush()
    store.makeDurable()
  }

  /// Makes the domains again that a store on disk knows.
  private func welcomeBack(_ domains: [DomainID], _ logger: Logger) {
    for domain in domains {
      let name = homes.name(of: domain) ?? ""
      do throws(PlatformError) {
        do throws(PlatformError) {
          _ = try broker.createDomain(domain, name: name)
        } catch {
          logger.warning("domain \(domain) goes on without its name: \(error)")
          _ = try broker.createDomain(domain, name: "")
        }
      } catch {
        logger.error("domain \(domain) is in the store and cannot be made: \(error)")
      }
    }
  }
}
