import EventLoop
public import PVDriver
import SharedRing
public import SimulatedPlatform
import Synchronization
import XenInterface
import XenPlatform
import XenStoreClient
public import Xenbus

/// Both ends of a driver in one process, with a simulated hypervisor and a real store: each end as if it were a process of its own.
public protocol PairedDriver: Sendable {
  associatedtype Driver: ServedDriver
  var system: DriverSystem<Driver> { get }
  var isConnected: Bool { get }
  /// Returns true when the client is connected, at once or later.
  func waitUntilConnected() async -> Bool
  /// Ends the client, after its life cycle.
  func closeClient() async
}

extension PairedDriver {
  public var hypervisor: SimulatedHypervisor { system.hypervisor }
  public var paths: XenbusDevicePaths { system.paths }

  /// The back-end's driver; nil while there is none.
  public var driver: Driver? { system.backend.withLock { $0?.driver } }

  /// What the back-end counted.
  public func counters() async -> DriverReport? { await driver?.report() }

  /// Starts a process of the back-end, and waits until the front-end is connected to it.
  public func startBackend() async throws {
    try await system.startBackend()
    guard await waitUntilConnected() else { throw RequestRingError.closed }
  }

  /// The back-end's process dies at once: its port closes, nothing is written any more. Returns when the front-end has noticed.
  public func killBackend() async {
    await system.endBackend(killing: true)
    for _ in 0..<30_000 where isConnected { try? await Task.sleep(for: .milliseconds(1)) }
  }

  /// The back-end finishes its requests, closes and ends.
  public func stopBackend() async { await system.endBackend(killing: false) }

  /// Waits until the back-end's figures are as `isSo` says. Throws ``DriverTestTimeout`` when that takes more than half a minute.
  public func wait(until isSo: (DriverReport) -> Bool) async throws {
    for _ in 0..<30_000 {
      if let report = await counters(), isSo(report) { return }
      try await Task.sleep(for: .milliseconds(1))
    }
    throw DriverTestTimeout(report: await counters())
  }

  /// Ends both. Returns what somebody has not given back, a line each; empty when nothing is left.
  public func finish() async -> String {
    system.frontNotices.stop()
    await stopBackend()
    await system.frontendHasEnded()
    await closeClient()
    return system.close()
  }
}

/// What a test waited for did not happen.
public struct DriverTestTimeout: Error, Sendable {
  /// What the back-end said of itself at the end.
  public var report: DriverReport?
}

/// What a pair runs in: the store, the hypervisor, the device's directories, the front-end's thread, and a back-end's process at a time.
public final class DriverSystem<Driver: ServedDriver>: Sendable {
  /// One process of the back-end.
  struct Backend: Sendable {
    let platform: SimulatedPlatform
    let driver: Driver
    let notices: XenbusNotices
    let thread: EventLoopThread
    let life: Task<XenbusEnding, any Error>
  }

  let hypervisor = SimulatedHypervisor()
  let paths = XenbusDevicePaths(kind: Driver.kind.storeName, device: 0, frontendDomain: rawFrontendDomain)
  let frontPlatform: SimulatedPlatform
  let frontThread: EventLoopThread
  let frontNotices = XenbusNotices()
  let backend = Mutex<Backend?>(nil)
  private let options: [String: String]
  private let polling: PollingPolicy
  private let rate: RequestRate
  private let frontLife = Mutex<Task<XenbusEnding, any Error>?>(nil)
  /// Holds the device's directories.
  private let toolstackStore: XenStoreClient

  /// A device without a front-end yet.
  init(options: [String: String], polling: PollingPolicy, rate: RequestRate = RequestRate()) async throws {
    self.options = options
    self.polling = polling
    self.rate = rate
    frontPlatform = hypervisor.platform(for: paths.frontendDomain)
    toolstackStore = hypervisor.platform(for: .control).connectToStore()
    frontThread = try EventLoopThread.start(name: "front")
    let toolstack = XenbusClientStore(toolstackStore)
    try await ToolstackDevice(paths: paths, store: toolstack).create()
    let errors = "/local/domain/\(paths.frontendDomain)/error"
    try await toolstack.transaction { [paths] transaction in
      try await transaction.write(errors, "")
      try await transaction.setPermissions(errors, ["n\(paths.frontendDomain)"])
    }
  }

  /// Begins the life of the front-end.
  func startFrontend(_ driver: any FrontendDriver) {
    let store = XenbusClientStore(frontPlatform.connectToStore())
    let life = Task { [paths, frontNotices] in
      try await XenbusFrontend(driver: driver, paths: paths, store: store, notices: frontNotices).run()
    }
    frontLife.withLock { $0 = life }
  }

  func frontendHasEnded() async { _ = await frontLife.withLock { $0 }?.result }

  func startBackend() async throws {
    let notices = XenbusNotices()
    let platform = hypervisor.platform(for: .control)
    let thread = try EventLoopThread.start(name: "back")
    var setup = BackendSetup(loop: thread.loop, platform: platform, notices: notices)
    setup.options = options
    setup.polling = polling
    setup.rate = rate
    let driver = try await Driver.open(setup)
    let store = XenbusClientStore(platform.connectToStore())
    let life = Task { [paths] in try await XenbusBackend(driver: driver, paths: paths, store: store, notices: notices).run() }
    backend.withLock { $0 = Backend(platform: platform, driver: driver, notices: notices, thread: thread, life: life) }
  }

  func endBackend(killing: Bool) async {
    guard let ending = backend.withLock({ $0.take() }) else { return }
    if killing {
      ending.life.cancel()
      hypervisor.kill(ending.platform)
    } else {
      ending.notices.stop()
    }
    _ = await ending.life.result
    await ending.driver.close()
    ending.thread.stopAndJoin()
  }

  /// After everything else. Returns what the back-end's domain has not given back.
  func close() -> String {
    frontThread.stopAndJoin()
    toolstackStore.close()
    let account = hypervisor.ledger[.control]
    return account == ResourceLedger.Account() ? "" : "the back-end's domain still has \(account)"
  }
}
