public import ArgumentParser
import EventLoop
import LinuxSystem
import Logging
public import PVDriver
import ProcessPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// What every command takes that uses a device of a driver: where the daemon is, which domain, which device.
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

  /// Becomes the device's front-end, as its domain, while `body` runs with a connected client. Ends it in good order.
  /// - Throws: ``CommandFailure`` when there is no such device or nobody serves it; what `body` throws, as one too.
  public func use<Interface: RequestRingInterface>(
    _ interface: Interface.Type, _ body: (RequestRingClient<Interface>) async throws -> Void
  ) async throws {
    Process.takeSignals()
    let address = try await lookUp(Interface.kind)
    let pidfile = try common.holdPIDFile()
    let lock = try await DeviceLock.takeFrontend(address, common.runDirectory)
    defer {
      lock.release()
      _ = pidfile
    }
    let platform = try DaemonConnection.platform(common.runDirectory, as: address.domain)
    let store = try DaemonConnection.store(common.runDirectory, as: address.domain)
    let thread: EventLoopThread
    do { thread = try EventLoopThread.start(name: "front") } catch { throw CommandFailure("\(error)") }
    defer { thread.stopAndJoin() }
    let notices = XenbusNotices()
    let client = RequestRingClient<Interface>(on: thread.loop)
    let logger = common.logger("pvio.\(Interface.kind.name)")
    let driver = RequestRingFrontendDriver(client, platform: platform, notices: notices, logger: logger)
    let life = XenbusFrontend(driver: driver, paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let signals = Task {
      _ = await Process.nextSignal()
      notices.stop()
      await client.close()
    }
    let reports = Task { await Self.report(client, address, logger) }
    let ending = Task { try await life.run() }
    let outcome: Result<Void, any Error>
    do {
      guard await FirstConnection.isMade(before: ending, connected: { await client.waitUntilConnected() }) else {
        throw CommandFailure("\(address.device) of domain \(address.domain) did not connect: see 'pvio status \(address.id)'")
      }
      outcome = .success(try await body(client))
    } catch {
      outcome = .failure(error)
    }
    signals.cancel()
    notices.stop()
    _ = await ending.result
    await client.close()
    await reports.value
    store.close()
    do { try outcome.get() } catch let error as RequestRingError { throw CommandFailure("\(address.device): \(error)") }
  }

  /// Names are resolved as the control domain; everything after that happens as the device's own domain.
  private func lookUp(_ kind: DeviceKind) async throws -> DeviceAddress {
    let platform = try DaemonConnection.platform(common.runDirectory)
    defer { platform.disconnect() }
    let store = try DaemonConnection.store(common.runDirectory)
    defer { store.close() }
    let domid = try DomainLookup.find(domain, platform)
    if let device { return try await DeviceAddress.find(device, kind, in: domid, store) }
    guard let first = try await DeviceAddress.all(of: kind, in: domid, store).first else {
      throw CommandFailure("domain \(domid) has no \(kind.name): attach one with 'pvio attach \(domid) \(kind.name)'")
    }
    return first
  }

  private static func report<Interface>(_ client: RequestRingClient<Interface>, _ address: DeviceAddress, _ logger: Logger) async {
    let name = "\(address.device) of domain \(address.domain)"
    for await report in client.reports() {
      switch report {
      case .connected(let again): again ? logger.notice("\(name): connected again") : logger.info("\(name): connected")
      case .backendLost(let reason): logger.error("\(name): back-end lost (\(reason)); calls wait for it to return")
      case .disconnected: logger.info("\(name): disconnected")
      case .broken(let fault): logger.error("\(name): \(fault); the connection is given up")
      case .closed: return
      }
    }
  }
}
