import EventLoop
import Logging
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform
public import Xenbus

/// The store half of a back-end whose device is one page of events: offers, maps the page that a front-end publishes, gives it back.
///
/// Engine and page live on the setup's loop, which must run until ``disconnect()`` has returned.
public final class EventPageBackendDriver<Engine: EventRingEngine>: ServedDriver {
  public typealias Device = Engine.Device
  public typealias Plane = EventPagePlane<Device.ToFrontend, Device.FromFrontend>

  /// What lives on the loop. The plane knows the engine weakly: the engine has what sends through the plane.
  private final class Half {
    let engine: Engine
    private let confined: LoopConfined<Plane>
    /// The engine was told that a front-end connected, and not that it went.
    private var hasFrontend = false
    var plane: Plane { confined.value }

    init(_ setup: BackendSetup) throws {
      confined = LoopConfined(Plane(), on: setup.loop)
      engine = try Engine(setup.engine, EventSender(confined))
      plane.onEvent = { [weak engine] in engine?.handle($0) }
      setup.loop.attach(plane)
    }

    func connected(_ agreement: Device.Agreement) {
      hasFrontend = true
      engine.connected(agreement)
    }

    func disconnect(_ done: @escaping () -> Void) {
      plane.disconnect { [self] _ in
        if hasFrontend { engine.disconnected() }
        hasFrontend = false
        done()
      }
    }
  }

  private let half: LoopConfined<Half>
  private let setup: BackendSetup

  private init(_ half: LoopConfined<Half>, _ setup: BackendSetup) {
    self.half = half
    self.setup = setup
  }

  public static var kind: DeviceKind { Device.kind }

  public static var capabilities: DriverCapabilities {
    DriverCapabilities(
      kind: Device.kind, transport: "event-ring", versions: Device.versions,
      entryByteCount: max(Device.ToFrontend.byteCount, Device.FromFrontend.byteCount), features: Device.standardOffer, optionKeys: Engine.optionKeys)
  }

  public static func open(_ setup: BackendSetup) async throws -> EventPageBackendDriver {
    try EngineOptionError.check(setup.options, known: Engine.optionKeys)
    let half = try await setup.loop.run { () -> Result<LoopConfined<Half>, any Error> in
      Result { LoopConfined(try Half(setup), on: setup.loop) }
    }.get()
    return EventPageBackendDriver(half, setup)
  }

  /// Sends an event to the front-end, as the engine does. From any thread.
  public func send(_ event: Device.ToFrontend) { half.loop.execute { [half] in half.value.plane.send(event) } }

  /// Whether a front-end is connected, and what was done for all that were. From any task.
  public func status() async -> (isConnected: Bool, counters: Plane.Counters) {
    await half.loop.run { [half] in (half.value.plane.isConnected, half.value.plane.counters) }
  }

  public func report() async -> DriverReport {
    await half.loop.run { [half] in
      let (plane, counted) = (half.value.plane, half.value.plane.counters)
      var report = DriverReport()
      report.isConnected = plane.isConnected
      report.requests = counted.sent &+ counted.received
      report.failures = counted.dropped
      report.events = counted.events
      report.spuriousEvents = counted.spuriousEvents
      report.signals = counted.signals
      report.mappedPageCount = plane.isConnected ? 1 : 0
      report.fault = plane.fault.map { "\($0)" }
      report.counters = ["events_sent": counted.sent, "events_received": counted.received, "events_dropped": counted.dropped]
        .merging(half.value.engine.metrics) { own, _ in own }
      return report
    }
  }

  // MARK: The life cycle's calls

  public func advertise() async throws -> [String: String] { await half.loop.run { [half] in half.value.engine.device.offer } }

  public func connect(frontend: XenbusDirectory) async throws -> [String: String] {
    let device = await half.loop.run { [half] in half.value.engine.device }
    let published = try device.publication(of: frontend)
    let plan = published.plan
    let channel = try setup.platform.bindInterdomainChannel(remote: frontend.domain, port: published.port)
    let (platform, notices, domain) = (setup.platform, setup.notices, frontend.domain)
    try await half.loop.run { [half] () -> Result<Void, any Error> in
      Result {
        let mapping = MappedPageHolder(try platform.foreignGrants(of: domain).mapContiguously([published.page]))
        do throws(EventRingFault) {
          try half.value.plane.connect(
            mapping.bytes, outgoing: plan.inLayout, incoming: plan.outLayout, version: plan.version, channel: channel,
            release: {
              mapping.unmap()
              return 0
            },
            onFault: { notices.peerViolation("the front-end broke the page: \($0)") })
        } catch {
          mapping.unmap()
          throw error
        }
        half.value.connected(plan.agreement)
      }
    }.get()
    channel.onPeerClosed { notices.peerVanished() }
    return [:]
  }

  public func disconnect() async {
    let half = half
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      half.loop.execute { half.value.disconnect { continuation.resume() } }
    }
  }
}

/// Keeps a mapping, which cannot be captured, until it is given back.
private final class MappedPageHolder {
  let bytes: SharedBytes
  private var mapping: GrantMapping?

  init(_ mapping: consuming GrantMapping) {
    bytes = mapping.bytes
    self.mapping = consume mapping
  }

  func unmap() { mapping = nil }
}
