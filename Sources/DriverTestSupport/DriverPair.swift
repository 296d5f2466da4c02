public import EventLoop
public import PVDriver
public import SharedRing
import XenInterface
import Xenbus

/// Both ends of a driver that answers requests.
///
/// ```swift
/// let pair = try await DriverPair<EntropyEngine>()
/// try await pair.startBackend()
/// let reply = try await pair.client.call(EntropyRequest(), receiving: 16)
/// #expect(await pair.finish() == "")
/// ```
public typealias DriverPair<Engine: RequestRingEngine> = MixedDriverPair<Engine, Engine.Interface>

/// The same for ends of different builds: an old front-end and a new back-end, or the other way round.
public final class MixedDriverPair<Engine: RequestRingEngine, Front: RequestRingInterface>: PairedDriver {
  public let system: DriverSystem<RequestRingBackendDriver<Engine>>
  public let client: RequestRingClient<Front>

  /// A device with a front-end that waits for a back-end.
  /// - Parameters:
  ///   - options: what the engine is opened with.
  ///   - polling: of both ends.
  ///   - rate: how much the device may do.
  public init(
    options: [String: String] = [:], polling: PollingPolicy = .never, rate: RequestRate = RequestRate(),
    configure: (inout RequestRingFrontConfiguration<Front>) -> Void = { _ in }
  ) async throws {
    system = try await DriverSystem(options: options, polling: polling, rate: rate)
    var configuration = RequestRingFrontConfiguration<Front>()
    configuration.polling = polling
    configure(&configuration)
    client = RequestRingClient(on: system.frontThread.loop, configuration: configuration)
    system.startFrontend(RequestRingFrontendDriver(client, platform: system.frontPlatform, notices: system.frontNotices))
  }

  public var isConnected: Bool { client.status.isConnected }
  public func waitUntilConnected() async -> Bool { await client.waitUntilConnected() }
  public func closeClient() async { await client.close() }
}

/// Both ends of a driver with a page of events.
public final class EventDriverPair<Engine: EventRingEngine>: PairedDriver {
  public let system: DriverSystem<EventPageBackendDriver<Engine>>
  public let client: EventPageClient<Engine.Device>

  /// A device with a front-end that waits for a back-end.
  public init(_ device: Engine.Device, options: [String: String] = [:], polling: PollingPolicy = .never) async throws {
    system = try await DriverSystem(options: options, polling: polling)
    client = await EventPageClient(
      device, loop: system.frontThread.loop, platform: system.frontPlatform, notices: system.frontNotices, logger: silent)
    system.startFrontend(client.driver)
  }

  public var isConnected: Bool { client.driver.reporter.status.isConnected }
  public func waitUntilConnected() async -> Bool { await client.waitUntilConnected() }
  public func closeClient() async { client.close() }
}

extension EventDriverPair {
  /// Waits for the next `count` events that the front-end gets.
  public func receive(_ count: Int) async throws {
    var left = count
    for await _ in client.events {
      left -= 1
      if left == 0 { return }
    }
    throw DriverTestTimeout(report: await counters())
  }
}

extension EventDriverPair where Engine.Device: DefaultDevice {
  public convenience init(options: [String: String] = [:], polling: PollingPolicy = .never) async throws {
    try await self.init(Engine.Device(), options: options, polling: polling)
  }
}

/// Both ends of a driver with a stream of bytes.
public final class StreamDriverPair<Engine: ByteStreamEngine>: PairedDriver {
  public let system: DriverSystem<ByteStreamEngineDriver<Engine>>
  public let client: ByteStreamClient<Engine.Interface>

  /// A device with a front-end that waits for a back-end.
  public init(options: [String: String] = [:], polling: PollingPolicy = .never) async throws {
    system = try await DriverSystem(options: options, polling: polling)
    client = try await .open(
      loop: system.frontThread.loop, platform: system.frontPlatform, notices: system.frontNotices, logger: silent)
    system.startFrontend(client.driver)
  }

  public var isConnected: Bool { client.driver.reporter.status.isConnected }
  public func waitUntilConnected() async -> Bool { await client.waitUntilConnected() }
  public func closeClient() async { await client.close() }

  /// Takes whatever the back-end sends, until the client is closed.
  public func drain() -> Task<Void, Never> {
    Task { [client] in
      while true {
        do throws(ByteStreamClientError) { try await client.receive() } catch { if error == .closed { return } }
      }
    }
  }
}
