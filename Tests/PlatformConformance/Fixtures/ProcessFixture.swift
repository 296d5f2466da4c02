import Broker
import Dispatch
import EventLoop
import Glibc
import Logging
import ProcessPlatform
import Synchronization
import Testing
import XenInterface
import XenPlatform

/// A broker on a loop thread of this process, with real sockets in a directory of its own.
final class ProcessFixture: PlatformFixture {
  let runDirectory: String
  private let thread: EventLoopThread
  private let server: BrokerServer
  private let domains = Mutex<Set<DomainID>>([.control])

  init(guestLimits: DomainLimits = .guest, controlLimits: DomainLimits = .control, outgoingMessages: Int = 20_000) throws {
    var template = Array("/tmp/pvio-test-XXXXXX".utf8CString)
    let directory = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!).map { unsafe String(cString: $0) } }
    runDirectory = try #require(directory)
    thread = try EventLoopThread.start(name: "broker-test")
    let limits = BrokerLimits(guest: guestLimits, control: controlLimits, outgoingMessages: outgoingMessages)
    let path = runDirectory
    server = try thread.sync { loop in
      var logger = Logger(label: "test")
      logger.logLevel = .critical
      return BrokerServer(loop: loop, runDirectory: path, limits: limits, logger: logger)
    }
    try thread.sync { [server] _ in try server.start() }
  }

  /// Runs `body` with the broker on its thread.
  func perform<Result: Sendable>(_ body: @escaping @Sendable (BrokerServer) throws -> Result) throws -> Result {
    try thread.sync { [server] _ in try body(server) }
  }

  func socketPath(of domain: DomainID) -> String {
    domain == .control ? "\(runDirectory)/broker.sock" : "\(runDirectory)/domains/\(domain)/broker.sock"
  }

  func createDomain(_ domain: DomainID) throws {
    let isNew = domains.withLock { $0.insert(domain).inserted }
    if isNew { _ = try thread.sync { [server] _ in try server.createDomain(domain, name: "") } }
  }

  func platform(for domain: DomainID) throws -> any XenPlatform {
    try createDomain(domain)
    return try ProcessPlatform.connect(socketPath: socketPath(of: domain))
  }

  func destroy(_ domain: DomainID) throws {
    domains.withLock { _ = $0.remove(domain) }
    try thread.sync { [server] _ in try server.destroyDomain(domain) }
  }

  func kill(_ platform: any XenPlatform) { (platform as? ProcessPlatform)?.disconnect() }

  /// Runs `body` with the broker on its thread.
  func onServer<Value>(_ body: @escaping @Sendable (BrokerServer) throws -> Value) throws -> Value {
    try thread.sync { [server] _ in try body(server) }
  }

  var usage: BrokerState.Usage {
    guard let usage = try? thread.sync({ [server] _ in server.usage }) else { preconditionFailure("cannot throw") }
    return usage
  }

  func leaks() -> String {
    let usage = usage
    return usage.arenas == 0 && usage.arenaPages == 0 && usage.eventChannels == 0 ? "" : "\(usage)"
  }

  func tearDown() {
    try? thread.sync { [server] _ in server.stop() }
    thread.stopAndJoin()
    removeFiles()
  }

  func removeFiles() {
    for domain in domains.withLock({ $0 }) {
      unsafe unlink(socketPath(of: domain))
      unsafe rmdir("\(runDirectory)/domains/\(domain)")
    }
    unsafe rmdir("\(runDirectory)/domains")
    unsafe rmdir(runDirectory)
  }
}

extension EventLoopThread {
  /// Runs `work` on the loop's thread and waits for it.
  fileprivate func sync<Value>(_ work: @escaping @Sendable (EventLoop) throws -> Value) throws -> Value {
    let box = ResultBox<Value>()
    loop.execute { [loop] in box.set(Result { try work(loop) }) }
    return try box.wait()
  }
}

/// Carries a result from one thread to another.
private final class ResultBox<Value>: @unchecked Sendable {
  // SAFETY of @unchecked: written before the signal, read after the wait.
  private var result: Result<Value, any Error>?
  private let arrived = DispatchSemaphore(value: 0)

  func set(_ value: Result<Value, any Error>) {
    result = value
    arrived.signal()
  }

  func wait() throws -> Value {
    arrived.wait()
    guard let result else { preconditionFailure("signalled without a result") }
    return try result.get()
  }
}
