public import EventLoop
public import Logging
import SharedMemory
public import SharedRing
import Synchronization
import XenInterface
public import XenPlatform
public import Xenbus

/// The store half of a front-end whose device is one page of events: grants the page, and connects again by itself.
public final class EventPageFrontendDriver<Device: EventPageDevice>: FrontendDriver {
  public typealias Plane = EventPagePlane<Device.FromFrontend, Device.ToFrontend>
  private let device: Device
  private let plane: LoopConfined<Plane>
  private let platform: any XenPlatform
  private let notices: XenbusNotices
  private let logger: Logger
  /// Connection, and how often there was one.
  public let reporter = ConnectionReporter<EventRingFault>()
  private let channel = Mutex<EventChannel?>(nil)
  private let agreed = Mutex<Device.Agreement?>(nil)

  /// - Parameters:
  ///   - notices: the same that the life cycle gets.
  ///   - onEvent: called on the loop for each event of the back-end.
  public init(
    _ device: Device, loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices, logger: Logger,
    onEvent: @escaping @Sendable (Device.ToFrontend) -> Void
  ) async {
    self.device = device
    self.platform = platform
    self.notices = notices
    self.logger = logger
    plane = await loop.run {
      let plane = Plane()
      plane.onEvent = onEvent
      loop.attach(plane)
      return LoopConfined(plane, on: loop)
    }
  }

  /// Sends an event to the back-end. From any thread.
  public func send(_ event: Device.FromFrontend) { plane.loop.execute { [plane] in plane.value.send(event) } }

  /// What is used with the back-end; nil before the first connection.
  public var agreement: Device.Agreement? { agreed.withLock { $0 } }

  /// What was done for all connections. From any task.
  public func counters() async -> Plane.Counters { await plane.loop.run { [plane] in plane.value.counters } }

  public func prepare(backend: XenbusDirectory) async throws -> [String: String] {
    let plan = try device.plan(for: backend)
    let handOver = HandOver(try platform.makeGrantArena(for: backend.domain, access: .readWrite, pageCount: 1))
    let channel = try platform.allocateUnboundChannel(for: backend.domain)
    let (notices, reporter) = (notices, reporter)
    let reference = try await plane.loop.run { [plane] () -> Result<GrantReference, EventRingFault> in
      let arena = handOver.take()
      guard let page = arena.allocatePage() else { preconditionFailure("an arena of one page has none") }
      let reference = arena.grant(page: page)
      do throws(EventRingFault) {
        try plane.value.connect(
          arena.bytes.slice(at: page * pageByteCount, byteCount: pageByteCount), outgoing: plan.outLayout, incoming: plan.inLayout,
          version: plan.version, channel: channel, release: { arena.endAccess(page: page) ? 0 : 1 },
          onFault: { fault in
            reporter.broken(fault)
            notices.peerViolation("the back-end broke the page: \(fault)")
          })
        return .success(reference)
      } catch {
        return .failure(error)
      }
    }.get()
    self.channel.withLock { $0 = channel }
    channel.onPeerClosed { [notices, reporter] in
      if reporter.status.isConnected { reporter.lost("its end of the event channel was closed") }
      notices.peerVanished()
    }
    agreed.withLock { $0 = plan.agreement }
    return device.keys(plan, page: reference, port: channel.port)
  }

  public func connected(backend: XenbusDirectory) async throws { reporter.connected() }

  public func disconnect() async {
    channel.withLock { $0.take() }?.onPeerClosed(nil)
    if reporter.status.isConnected { reporter.disconnected() }
    let plane = plane
    let stillMapped = await withCheckedContinuation { (continuation: CheckedContinuation<Int, Never>) in
      plane.loop.execute { plane.value.disconnect { continuation.resume(returning: $0) } }
    }
    if stillMapped > 0 { logger.notice("the back-end had not let go of the page; it is given up") }
  }
}
