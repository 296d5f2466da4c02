import EventLoop
import Logging
import XenInterface
import XenPlatform
public import Xenbus

/// The store half of a back-end whose requests an engine does: offers versions and features, takes up a front-end's ring, gives it back.
///
/// ```swift
/// let notices = XenbusNotices()
/// let driver = try await RequestRingBackendDriver<EntropyEngine>.open(BackendSetup(loop: thread.loop, platform: platform, notices: notices))
/// let ending = try await XenbusBackend(driver: driver, paths: paths, store: store, notices: notices).run()
/// await driver.disconnect()
/// ```
/// Its engine and ring live on `loop`, which must run until ``disconnect()`` has returned.
public final class RequestRingBackendDriver<Engine: RequestRingEngine>: ServedDriver {
  private typealias Interface = Engine.Interface
  private typealias Half = RequestRingBackHalf<Engine>
  private let half: LoopConfined<RequestRingBackHalf<Engine>>
  private let platform: any XenPlatform
  private let notices: XenbusNotices
  private let logger: Logger
  private let offer: DriverOffer

  private init(half: LoopConfined<RequestRingBackHalf<Engine>>, setup: BackendSetup) {
    self.half = half
    platform = setup.platform
    notices = setup.notices
    logger = setup.logger
    offer = DriverOffer(
      Engine.Interface.self, maximumRingPageOrder: platform.capabilities.mapsContiguously && Engine.Interface.carrier == .ring ? DriverLimits.ringPageOrder : 0)
  }

  public static var kind: DeviceKind { Engine.Interface.kind }

  public static var capabilities: DriverCapabilities {
    var capabilities = DriverCapabilities(Interface.self, transport: Interface.carrier == .ring ? "request-ring" : "mailbox", optionKeys: Engine.optionKeys)
    capabilities.dataByteCount = Interface.maximumDataByteCount
    capabilities.traceFields = Interface.Request.traceFields
    capabilities.takesRequests = true
    return capabilities
  }

  public static func open(_ setup: BackendSetup) async throws -> RequestRingBackendDriver {
    try EngineOptionError.check(setup.options, known: Engine.optionKeys)
    let half = try await setup.loop.run { () -> Result<LoopConfined<RequestRingBackHalf<Engine>>, any Error> in
      Result { LoopConfined(RequestRingBackHalf(engine: try Engine(setup.engine), setup: setup), on: setup.loop) }
    }.get()
    return RequestRingBackendDriver(half: half, setup: setup)
  }

  // MARK: The life cycle's calls

  public func advertise() async throws -> [String: String] {
    let features = await half.loop.run { [half] in half.value.engine.features }
    return offer.keys.merging(features.offerKeys) { _, own in own }
  }

  public func connect(frontend: XenbusDirectory) async throws -> [String: String] {
    let offered = await half.loop.run { [half] in half.value.engine.features }
    let (transport, agreement) = try Interface.accept(frontend, of: offer, offered)
    let channel = try RequestRingConnectError.bind([transport.port], of: frontend.domain, platform)[0]
    let (platform, notices) = (platform, notices)
    try await half.loop.run { [half] in
      half.value.connect(transport, features: agreement.features, granter: frontend.domain, channel: channel, platform: platform) { fault in
        notices.peerViolation("the front-end broke the ring: \(fault)")
      }
    }.get()
    channel.onPeerClosed { notices.peerVanished() }
    return [:]
  }

  public func disconnect() async { await half.disconnect(logger) }

  /// Whether a front-end is connected, and what was done for all that were. From any task.
  public func status() async -> (isConnected: Bool, counters: RequestRingCounters) {
    await half.loop.run { [half] in (half.value.isConnected, half.value.counters) }
  }

  public func report() async -> DriverReport {
    await half.loop.run { [half] in DriverReport(half.value.isConnected, half.value.counters, half.value.engine.metrics) }
  }
}

extension DriverReport {
  fileprivate init(_ isConnected: Bool, _ counted: RequestRingCounters, _ metrics: [String: UInt64]) {
    self.isConnected = isConnected
    requests = counted.requests
    bytes = counted.bytes
    failures = counted.failures
    rejections = counted.rejections
    inFlight = counted.inFlight
    events = counted.events.events
    spuriousEvents = counted.events.spuriousEvents
    signals = counted.events.signals
    mappedPageCount = counted.mappedPageCount
    fault = counted.fault.map { "\($0)" }
    counters = metrics
    if counted.heldBack > 0 { counters["held_back"] = counted.heldBack }
  }
}
