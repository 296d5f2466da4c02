import Broker
import EventLoop
import LinuxSystem
import Logging
import SystemPackage
import XenInterface
import XenPlatform
import XenStoreCore
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

  /// Listens in `directory`, which is made. Fails with one line when another daemon is there.
  static func start(in directory: RunDirectory, logger: Logger) async throws -> DaemonServices {
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
    if let failure = await thread.loop.run({ services.open(logger) }) {
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
      broker.stop()
      store.close()
    }
    thread.stopAndJoin()
    lock = nil
  }

  private func open(_ logger: Logger) -> CommandFailure? {
    let core = XenStoreCore()
    store = XenStoreServer(loop: thread.loop, core: core, logger: logger)
    homes = DomainHomes(core: core)
    broker = BrokerServer(loop: thread.loop, runDirectory: directory.path, logger: logger)
    broker.onDomainCreated = { [unowned self] domain, name throws(PlatformError) in try welcome(domain, name) }
    broker.onDomainDestroyed = { [unowned self] domain in
      store.stopListening(path: directory.sockets(of: domain).store)
      homes.remove(domain)
      store.release(domain)
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
    store.introduce(.control)
    homes.create(.control, name: "Domain-0")
    store.flush()
    return nil
  }

  private func welcome(_ domain: DomainID, _ name: String) throws(PlatformError) {
    do {
      try store.listen(path: directory.sockets(of: domain).store, identity: .domain(domain))
    } catch {
      throw .system(operation: "listen on \(directory.sockets(of: domain).store)", error)
    }
    homes.create(domain, name: name)
    store.introduce(domain)
  }
}
