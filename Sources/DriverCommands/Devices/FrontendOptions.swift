public import ArgumentParser
public import EventLoop
import LinuxSystem
public import Logging
public import PVDriver
public import ProcessPlatform
import XenInterface
import XenStoreClient
public import Xenbus

/// What every command takes that uses a device: where the daemon is, which domain, which device.
///
/// ```swift
/// @OptionGroup var device: FrontendOptions
/// func run() async throws { try await device.use(EntropyInterface.self) { client in … } }
/// ```
public struct FrontendOptions: ParsableArguments, Sendable {
  @OptionGroup public var common: CommonOptions
  @Option(help: "The device there, by name, number or id (default: the domain's first of its kind).") public var device: String?
  @Argument(help: "The domain, by number or name.") public var domain: String

  public init() {}

  /// What a front-end is made from.
  public struct Session: Sendable {
    public var address: DeviceAddress
    /// As the device's domain.
    public var platform: ProcessPlatform
    public var loop: EventLoop
    /// For the driver, and for whoever wants to end the device's life.
    public var notices: XenbusNotices
    public var logger: Logger
  }

  /// A front-end, and what is done with it.
  public struct Use {
    /// The store half.
    public var driver: any FrontendDriver
    /// Returns true once a back-end is connected; false when none will be.
    public var isConnected: @Sendable () async -> Bool
    /// What the command is for; begins when a back-end is connected.
    public var body: () async throws -> Void
    /// Ends what `body` waits for, from any task; called for a signal, and when all is over.
    public var close: @Sendable () async -> Void

    public init(
      driver: any FrontendDriver, isConnected: @escaping @Sendable () async -> Bool, body: @escaping () async throws -> Void,
      close: @escaping @Sendable () async -> Void
    ) {
      self.driver = driver
      self.isConnected = isConnected
      self.body = body
      self.close = close
    }
  }

  /// Becomes the front-end of a device of `kind`, as its domain, and does what `make` says. Ends it in good order.
  /// - Throws: ``CommandFailure`` when there is no such device or nobody serves it; what the body throws.
  public func use(_ kind: DeviceKind, _ make: (Session) async throws -> Use) async throws {
    Process.takeSignals()
    let address = try await DeviceAddress.lookUp(device, kind, in: domain, common.runDirectory)
    let pidfile = try common.holdPIDFile()
    let lock = try await DeviceLock.takeFrontend(address, common.runDirectory)
    defer {
      lock.release()
      _ = pidfile
    }
    let platform = try DaemonConnection.platform(common.runDirectory, as: address.domain)
    let store = try DaemonConnection.store(common.runDirectory, as: address.domain)
    defer { store.close() }
    let thread = try EventLoopThread.started("front")
    defer { thread.stopAndJoin() }
    let notices = XenbusNotices()
    let logger = common.logger("pvio.\(kind.name)")
    let use = try await make(Session(address: address, platform: platform, loop: thread.loop, notices: notices, logger: logger))
    let life = XenbusFrontend(driver: use.driver, paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let signals = Task { [close = use.close] in
      _ = await Process.nextSignal()
      notices.stop()
      await close()
    }
    let ending = Task { try await life.run() }
    let outcome = await Result.of {
      guard await FirstConnection.isMade(before: ending, connected: use.isConnected) else {
        throw CommandFailure("\(address.device) of domain \(address.domain) did not connect: see 'pvio status \(address.id)'")
      }
      try await use.body()
    }
    signals.cancel()
    notices.stop()
    _ = await ending.result
    await use.close()
    try outcome.get()
  }

  /// Says what happens to a connection, until the front-end is closed.
  public static func report<Fault>(_ reports: AsyncStream<ConnectionReport<Fault>>, _ address: DeviceAddress, _ logger: Logger) async {
    let name = "\(address.device) of domain \(address.domain)"
    for await report in reports {
      switch report {
      case .connected(let again): again ? logger.notice("\(name): connected again") : logger.info("\(name): connected")
      case .backendLost(let reason): logger.error("\(name): back-end lost (\(reason)); the next one is waited for")
      case .disconnected: logger.info("\(name): disconnected")
      case .broken(let fault): logger.error("\(name): \(fault); the connection is given up")
      case .closed: return
      }
    }
  }
}
