import EventLoop
public import PVDriver
public import SharedRing
public import SimulatedPlatform
import Synchronization
import XenInterface
import XenPlatform
import XenStoreClient
public import Xenbus

/// Both ends of a driver in one process, with a simulated hypervisor and a real store: each end as if it were a process of its own.
///
/// ```swift
/// let pair = try await DriverPair<EntropyEngine>()
/// try await pair.startBackend()
/// let reply = try await pair.client.call(EntropyRequest(), receiving: 16)
/// #expect(await pair.finish() == "")
/// ```
public typealias DriverPair<Engine: RequestRingEngine> = MixedDriverPair<Engine, Engine.Interface>

/// The same for ends of different builds: an old front-end and a new back-end, or the other way round.
public final class MixedDriverPair<Engine: RequestRingEngine, Front: RequestRingInterface>: Sendable {
  /// One process of the back-end.
  private struct Backend: Sendable {
    let platform: SimulatedPlatform
    let driver: RequestRingBackendDriver<Engine>
    let notices: XenbusNotices
    let thread: EventLoopThread
    let life: Task<XenbusEnding, any Error>
  }

  public let hypervisor = SimulatedHypervisor()
  public let client: RequestRingClient<Front>
  public let paths = XenbusDevicePaths(kind: Engine.Interface.kind.storeName, device: 0, frontendDomain: DomainID(rawValue: 7))
  private let options: [String: String]
  private let polling: PollingPolicy
  private let frontThread: EventLoopThread
  private let frontNotices = XenbusNotices()
  private let frontLife: Task<XenbusEnding, any Error>
  private let backend = Mutex<Backend?>(nil)
  /// Holds the device's directories.
  private let toolstackStore: XenStoreClient

  /// A device with a front-end that waits for a back-end.
  /// - Parameters:
  ///   - options: what the engine is opened with.
  ///   - polling: of both ends.
  public init(
    options: [String: String] = [:], polling: PollingPolicy = .never,
    configure: (inout RequestRingFrontConfiguration<Front>) -> Void = { _ in }
  ) async throws {
    self.options = options
    self.polling = polling
    let frontPlatform = hypervisor.platform(for: paths.frontendDomain)
    toolstackStore = hypervisor.platform(for: .control).connectToStore()
    let toolstack = XenbusClientStore(toolstackStore)
    try await ToolstackDevice(paths: paths, store: toolstack).create()
    let errors = "/local/domain/\(paths.frontendDomain)/error"
    try await toolstack.transaction { [paths] transaction in
      try await transaction.write(errors, "")
      try await transaction.setPermissions(errors, ["n\(paths.frontendDomain)"])
    }
    frontThread = try EventLoopThread.start(name: "front")
    var configuration = RequestRingFrontConfiguration<Front>()
    configuration.polling = polling
    configure(&configuration)
    client = RequestRingClient(on: frontThread.loop, configuration: configuration)
    let driver = RequestRingFrontendDriver(client, platform: frontPlatform, notices: frontNotices)
    let store = XenbusClientStore(frontPlatform.connectToStore())
    frontLife = Task { [paths, frontNotices] in
      try await XenbusFrontend(driver: driver, paths: paths, store: store, notices: frontNotices).run()
    }
  }

  /// Starts a process of the back-end, and waits until the front-end is connected to it.
  public func startBackend() async throws {
    let notices = XenbusNotices()
    let platform = hypervisor.platform(for: .control)
    let thread = try EventLoopThread.start(name: "back")
    let driver = try await RequestRingBackendDriver<Engine>.open(
      options: options, loop: thread.loop, platform: platform, notices: notices, polling: polling)
    let store = XenbusClientStore(platform.connectToStore())
    let life = Task { [paths] in try await XenbusBackend(driver: driver, paths: paths, store: store, notices: notices).run() }
    backend.withLock { $0 = Backend(platform: platform, driver: driver, notices: notices, thread: thread, life: life) }
    guard await client.waitUntilConnected() else { throw RequestRingError.closed }
  }

  /// What the back-end counted.
  public func counters() async -> RequestRingCounters? { await backend.withLock { $0 }?.driver.status().counters }

  /// The back-end's process dies at once: its port closes, nothing is written any more.
  public func killBackend() async {
    guard let dead = backend.withLock({ $0.take() }) else { return }
    dead.life.cancel()
    hypervisor.kill(dead.platform)
    _ = await dead.life.result
    await dead.driver.disconnect()
    dead.thread.stopAndJoin()
  }

  /// The back-end finishes its requests, closes and ends.
  public func stopBackend() async {
    guard let ending = backend.withLock({ $0.take() }) else { return }
    ending.notices.stop()
    _ = await ending.life.result
    await ending.driver.disconnect()
    ending.thread.stopAndJoin()
  }

  /// Ends both. Returns what somebody has not given back, a line each; empty when nothing is left.
  public func finish() async -> String {
    frontNotices.stop()
    await stopBackend()
    _ = await frontLife.result
    await client.close()
    frontThread.stopAndJoin()
    toolstackStore.close()
    let account = hypervisor.ledger[.control]
    return account == ResourceLedger.Account() ? "" : "the back-end's domain still has \(account)"
  }
}
