import Broker
import DriverCommands
import EventLoop
import LinuxSystem
import Logging
import SystemPackage
import XenInterface
import XenPlatform
import XenStoreCore
import XenStoreLog
import XenStoreMigration
import XenStoreServer

/// Broker and store of one run directory, on one loop: what `pvio daemon` is, and what `pvio run` has inside.
///
/// It introduces processes to each other and then steps aside: nothing of the data path passes through it.
final class DaemonServices: @unchecked Sendable {
  // SAFETY of @unchecked: `store`, `broker` and `homes` are touched on the loop's thread only; `lock` and `pidfile` on the
  // loop's thread too while it runs, else by start() or resume() and, once, stop().
  private let thread: EventLoopThread
  private let directory: RunDirectory
  private var lock: LockedFile?
  private var pidfile: LockedFile?
  private var store: XenStoreServer!
  private var broker: BrokerServer!
  private var homes: DomainHomes!
  private let failures = AsyncStream<CommandFailure?>.makeStream()
  /// With a store on disk, stopping is not the end of the domains: their nodes stay, and the next start makes them again.
  private var keepsDomains = false
  /// Whether everything is being closed. Loop thread.
  private(set) var isStopping = false

  /// Listens in `directory`, which is made. Fails with one line when another daemon is there. With `state`, the store is kept on disk.
  static func start(
    in directory: RunDirectory, logger: Logger, state: StoreState? = nil, pidfile: consuming LockedFile? = nil
  ) async throws -> DaemonServices {
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
    let thread = try EventLoopThread.started("daemon")
    let services = DaemonServices(thread: thread, directory: directory, lock: consume lock, pidfile: consume pidfile)
    if let failure = await thread.loop.run({ services.open(logger, state) }) {
      thread.stopAndJoin()
      throw failure
    }
    return services
  }

  /// Goes on in `directory` where an earlier daemon in this process has stopped: its sockets, connections and locks are still open.
  static func resume(
    _ handedOver: HandedOver, in directory: RunDirectory, logger: Logger, state: StoreState?
  ) async throws -> DaemonServices {
    let lock = try inheritedLock(.runDirectory, handedOver)
    let pidfile = try inheritedLock(.pidfile, handedOver)
    // The loop's thread takes over from this one that signals may come.
    ProgramReplacement.acceptTerminationSignals()
    let thread = try EventLoopThread.started("daemon")
    let services = DaemonServices(thread: thread, directory: directory, lock: consume lock, pidfile: consume pidfile)
    if let failure = await thread.loop.run({ services.goOn(handedOver, logger, state) }) {
      thread.stopAndJoin()
      throw failure
    }
    if let number = handedOver.signalRecord, let record = try? OwnedDescriptor(inherited: number) {
      TerminationSignals.repeatRecorded(in: record)
    }
    return services
  }

  private static func inheritedLock(_ role: HandedOver.LockRole, _ handedOver: HandedOver) throws -> LockedFile? {
    guard let lock = handedOver.locks[role] else { return nil }
    do {
      return try LockedFile(inherited: lock.descriptor, path: lock.path)
    } catch {
      throw CommandFailure("the earlier daemon's lock on \(lock.path) is not there: \(error)")
    }
  }

  private init(thread: EventLoopThread, directory: RunDirectory, lock: consuming LockedFile?, pidfile: consuming LockedFile?) {
    self.thread = thread
    self.directory = directory
    self.lock = consume lock
    self.pidfile = consume pidfile
  }

  /// Ends every connection, removes the sockets, and gives the run directory up. Call it once.
  func stop() async {
    await thread.loop.run { [self] in
      isStopping = true
      keepsDomains = store.isKept
      broker.stop()
      store.close()
    }
    thread.stopAndJoin()
    lock = nil
    pidfile = nil
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
    assemble(core, logger)
    if let state {
      do throws(StoreLogError) {
        let log = try state.open(core, on: thread.loop, logger)
        store.keep(in: log) { [continuation = failures.continuation] in continuation.yield(CommandFailure("\($0)")) }
      } catch {
        return CommandFailure("\(error)")
      }
    }
    homes = DomainHomes(core: core)
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

  /// Makes store and broker, without any socket.
  private func assemble(_ core: XenStoreCore, _ logger: Logger) {
    store = XenStoreServer(loop: thread.loop, core: core, logger: logger)
    broker = BrokerServer(loop: thread.loop, runDirectory: directory.path, logger: logger)
    broker.onDomainCreated = { [unowned self] domain, name throws(PlatformError) in try welcome(domain, name) }
    broker.onDomainDestroyed = { [unowned self] domain in
      store.stopListening(path: directory.sockets(of: domain).store)
      if !keepsDomains { forget(domain) }
    }
    serveRings()
  }

  /// Lets domains come over pages that they share, instead of sockets.
  private func serveRings() {
    store.serveRings { [unowned self] domain, address throws(PlatformError) in
      let grants = try broker.ownForeignGrants(of: domain)
      let page: GrantMapping
      do throws(GrantError) {
        page = try grants.mapContiguously([address.reference])
      } catch {
        if case .platform(let error) = error { throw error }
        throw .refused(operation: "mapping of the store page", reason: "\(error)")
      }
      return StoreRing(page: page, channel: try broker.bindOwnChannel(remote: domain, port: address.port))
    }
    broker.onStoreOffered = { [unowned self] domain, reference, port throws(PlatformError) in
      try store.connect(ring: XenStoreRingAddress(reference: reference, port: port), of: domain)
    }
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
    store.core.advance(to: MonotonicClock.nowNanoseconds)
    store.core.asOneCommit {
      homes.create(domain, name: name)
      store.core.introduce(domain)
    }
    store.flush()
    // The broker acknowledges the domain, not the store.
    guard store.makeDurable() else {
      store.stopListening(path: directory.sockets(of: domain).store)
      throw .system(operation: "write the home of domain \(domain) to the state directory", .ioError)
    }
  }

  private func forget(_ domain: DomainID) {
    // What goes away goes away on a full disk, too: that is little, and room for it is kept.
    let refusal = store.core.changeRefusal
    store.core.changeRefusal = nil
    store.core.advance(to: MonotonicClock.nowNanoseconds)
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

  // MARK: Live update

  /// From now on, the control command `live-update` works: for a daemon that is a process of its own.
  func allowLiveUpdate(_ logger: Logger) async {
    await thread.loop.run { [self] in
      let update = LiveUpdate(services: self, loop: thread.loop, logger: logger)
      store.core.onLiveUpdate = { update.perform($0) }
    }
  }

  /// Everything that the next daemon needs, and the files that it must find open. The services go on as before. Loop thread.
  func handOver() throws(CommandFailure) -> (stream: [UInt8], descriptors: Set<Int32>) {
    guard !isStopping else { throw CommandFailure("the daemon is being stopped") }
    try settle()
    var stream = MigrationStreamWriter()
    var descriptors: Set<Int32> = []
    stream.append(.daemonState) { $0.put(directory.path) }
    for (role, lock) in locks {
      descriptors.insert(lock.descriptor)
      stream.append(.daemonLock) { body in
        body.put(role.rawValue)
        body.put(lock.descriptor)
        body.put(lock.path)
      }
    }
    if let record = TerminationSignals.record {
      descriptors.insert(record)
      stream.append(.daemonSignals) { $0.put(record) }
    }
    do throws(XenStoreExportRefusal) {
      try store.export(to: &stream, descriptors: &descriptors)
    } catch {
      throw CommandFailure("\(error)")
    }
    broker.export(to: &stream, descriptors: &descriptors)
    return (stream.finish(), descriptors)
  }

  /// Goes on as `binary`, in this process. Returns only when that failed, with the reason; the services go on as before then. Loop thread.
  func replace(by binary: String, _ arguments: [String]) -> String {
    do {
      let (stream, descriptors) = try handOver()
      let file = try MemoryFile.create(name: "pvio-live-update", contents: stream)
      // What is prepared would be lost with the ring; what is in flight are questions whether sockets are ready, which are asked again.
      thread.loop.submitNow()
      let failure = ProgramReplacement.replace(
        with: binary, arguments: arguments + [DaemonCommand.streamOption, "\(file.rawValue)"], keeping: descriptors.union([file.rawValue]))
      return "cannot go on as \(binary): \(failure)"
    } catch {
      return "\(error)"
    }
  }

  /// Answers the request for a live update. Loop thread.
  func answerLiveUpdate(_ text: String) {
    store.core.answerPostponed(text)
    store.flush()
  }

  /// Waits until nothing is half done: everything that was committed is on disk, and no file waits to be closed.
  private func settle() throws(CommandFailure) {
    if let domain = broker.domainWithUnclosedFiles {
      throw CommandFailure("files that domain \(domain) sent cannot be closed yet: try again, or destroy the domain")
    }
    // Sending what was kept back lets further requests go on, which may change the store again.
    for _ in 0..<100 {
      store.flush()
      guard store.makeDurable(), store.logIsSound else { throw CommandFailure("the store cannot be written to its disk at the moment") }
      if store.core.lastCommitSequence == store.core.durableCommitSequence || !store.isKept { return }
    }
    throw CommandFailure("clients change the store faster than its disk takes it: try again")
  }

  private var locks: [(role: HandedOver.LockRole, lock: (descriptor: Int32, path: String))] {
    var locks: [(HandedOver.LockRole, (descriptor: Int32, path: String))] = []
    if let held = lock?.inheritance { locks.append((.runDirectory, held)) }
    if let held = pidfile?.inheritance { locks.append((.pidfile, held)) }
    if let descriptor = store.logLock { locks.append((.stateDirectory, (descriptor, ""))) }
    return locks
  }

  private func goOn(_ handedOver: HandedOver, _ logger: Logger, _ state: StoreState?) -> CommandFailure? {
    assemble(handedOver.store.core, logger)
    do {
      if let state, let lock = handedOver.locks[.stateDirectory] {
        let log = try state.goOn(handedOver.store.core, lock: lock.descriptor, on: thread.loop)
        store.keep(in: log) { [continuation = failures.continuation] in continuation.yield(CommandFailure("\($0)")) }
      }
      // The store maps pages and binds ports through the broker.
      try broker.resume(handedOver.broker)
      try store.resume(handedOver.store)
    } catch {
      return CommandFailure("live update: \(error)")
    }
    homes = DomainHomes(core: handedOver.store.core)
    answerLiveUpdate("OK")
    logger.info("live update: going on with \(store.connectionCount) store connections and \(broker.usage.connections) broker connections")
    return nil
  }
}
