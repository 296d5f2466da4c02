public import EventLoop
public import Logging
public import SharedRing
public import XenPlatform
public import Xenbus
import XenInterface

/// The store half of a back-end whose requests an engine does: offers versions and features, takes up a front-end's ring, gives it back.
///
/// ```swift
/// let notices = XenbusNotices()
/// let driver = try await RequestRingBackendDriver<EntropyEngine>.open(loop: thread.loop, platform: platform, notices: notices)
/// let ending = try await XenbusBackend(driver: driver, paths: paths, store: store, notices: notices).run()
/// await driver.disconnect()
/// ```
/// Its engine and ring live on `loop`, which must run until ``disconnect()`` has returned.
public final class RequestRingBackendDriver<Engine: RequestRingEngine>: BackendDriver {
  private typealias Half = RequestRingBackHalf<Engine>
  private let half: LoopConfined<RequestRingBackHalf<Engine>>
  private let platform: any XenPlatform
  private let notices: XenbusNotices
  private let logger: Logger
  private let offer: RequestRingOffer

  private init(half: LoopConfined<RequestRingBackHalf<Engine>>, platform: any XenPlatform, notices: XenbusNotices, logger: Logger) {
    self.half = half
    self.platform = platform
    self.notices = notices
    self.logger = logger
    offer = RequestRingOffer(
      Engine.Interface.self, maximumRingPageOrder: platform.capabilities.mapsContiguously ? RequestRingLimits.ringPageOrder : 0)
  }

  /// Makes the engine on `loop`. Throws what its initialiser throws, and ``EngineOptionError`` for a key that it does not know.
  /// - Parameters:
  ///   - options: what the user gave, by key.
  ///   - notices: the same that the life cycle gets.
  ///   - trace: where requests are told of while somebody traces the device; nil: nowhere.
  public static func open(
    options: [String: String] = [:], loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices,
    polling: PollingPolicy = .standard, trace: TraceFile? = nil, logger: Logger = Logger(label: "driver.backend")
  ) async throws -> RequestRingBackendDriver {
    for key in options.keys.sorted() where !Engine.optionKeys.contains(key) { throw EngineOptionError(key: key, known: Engine.optionKeys) }
    let half = try await loop.run { () -> Result<LoopConfined<RequestRingBackHalf<Engine>>, any Error> in
      Result {
        let engine = try Engine(EngineSetup(options: options, loop: loop, logger: logger))
        return LoopConfined(RequestRingBackHalf(engine: engine, loop: loop, polling: polling, trace: trace, logger: logger), on: loop)
      }
    }.get()
    return RequestRingBackendDriver(half: half, platform: platform, notices: notices, logger: logger)
  }

  // MARK: The life cycle's calls

  public func advertise() async throws -> [String: String] {
    let features = await half.loop.run { [half] in half.value.engine.features }
    return offer.keys.merging(features.offerKeys) { _, own in own }
  }

  public func connect(frontend: XenbusDirectory) async throws -> [String: String] {
    let offered = await half.loop.run { [half] in half.value.engine.features }
    let transport = try RequestRingTransport(reading: frontend, offered: offer)
    let features = try Engine.Interface.Features(acceptedBy: frontend, of: offered)
    let channel: EventChannel
    do throws(PlatformError) {
      channel = try platform.bindInterdomainChannel(remote: frontend.domain, port: transport.port)
    } catch {
      throw RequestRingConnectError.platform(error)
    }
    let (platform, notices) = (platform, notices)
    try await half.loop.run { [half] in
      half.value.connect(transport, features: features, granter: frontend.domain, channel: channel, platform: platform) { fault in
        notices.peerViolation("the front-end broke the ring: \(fault)")
      }
    }.get()
    channel.onPeerClosed { notices.peerVanished() }
    return [:]
  }

  public func disconnect() async {
    let half = half
    let leaked = await withCheckedContinuation { continuation in
      half.loop.execute { half.value.disconnect { continuation.resume(returning: $0) } }
    }
    if leaked > 0 { logger.critical("\(leaked) pages of the front-end are still mapped after disconnecting: please report this") }
  }

  /// Whether a front-end is connected, and what was done for all that were. From any task.
  public func status() async -> (isConnected: Bool, counters: RequestRingCounters) {
    await half.loop.run { [half] in (half.value.isConnected, half.value.counters) }
  }
}

/// A key that a device's driver does not know.
public struct EngineOptionError: Error, Sendable, Equatable, CustomStringConvertible {
  public var key: String
  public var known: [String]

  public init(key: String, known: [String]) {
    self.key = key
    self.known = known
  }

  public var description: String {
    "unknown key '\(key)'; expected \(known.isEmpty ? "none but id" : known.sorted().joined(separator: ", ") + " or id")"
  }
}
