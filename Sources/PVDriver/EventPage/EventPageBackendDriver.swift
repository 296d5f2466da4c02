public import EventLoop
public import Logging
import SharedMemory
import SharedRing
import XenInterface
public import XenPlatform
public import Xenbus

/// The store half of a back-end whose device is one page of events.
///
/// Its plane lives on `loop`, which must run until ``disconnect()`` has returned.
public final class EventPageBackendDriver<Device: EventPageDevice>: BackendDriver {
  public typealias Plane = EventPagePlane<Device.ToFrontend, Device.FromFrontend>
  private let device: Device
  private let plane: LoopConfined<Plane>
  private let platform: any XenPlatform
  private let notices: XenbusNotices
  private let logger: Logger

  /// - Parameters:
  ///   - notices: the same that the life cycle gets.
  ///   - onEvent: called on the loop for each event of the front-end.
  public init(
    _ device: Device, loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices, logger: Logger,
    onEvent: @escaping @Sendable (Device.FromFrontend) -> Void = { _ in }
  ) async {
    self.device = device
    self.platform = platform
    self.notices = notices
    self.logger = logger
    plane = await loop.run {
      let plane = Plane(onEvent: onEvent)
      loop.attach(plane)
      return LoopConfined(plane, on: loop)
    }
  }

  /// Sends an event to the front-end. From any thread.
  public func send(_ event: Device.ToFrontend) { plane.loop.execute { [plane] in plane.value.send(event) } }

  /// Whether a front-end is connected, and what was done for all that were. From any task.
  public func status() async -> (isConnected: Bool, counters: Plane.Counters) {
    await plane.loop.run { [plane] in (plane.value.isConnected, plane.value.counters) }
  }

  public func advertise() async throws -> [String: String] { device.offer }

  public func connect(frontend: XenbusDirectory) async throws -> [String: String] {
    let published = try device.publication(of: frontend)
    let channel = try platform.bindInterdomainChannel(remote: frontend.domain, port: published.port)
    let (device, platform, notices, domain) = (device, platform, notices, frontend.domain)
    try await plane.loop.run { [plane] () -> Result<Void, any Error> in
      Result {
        let mapping = MappedPageHolder(try platform.foreignGrants(of: domain).mapContiguously([published.page]))
        do throws(EventRingFault) {
          try plane.value.connect(
            mapping.bytes, outgoing: device.inLayout, incoming: device.outLayout, channel: channel,
            release: {
              mapping.unmap()
              return 0
            },
            onFault: { notices.peerViolation("the front-end broke the page: \($0)") })
        } catch {
          mapping.unmap()
          throw error
        }
      }
    }.get()
    channel.onPeerClosed { notices.peerVanished() }
    return [:]
  }

  public func disconnect() async {
    let plane = plane
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      plane.loop.execute { plane.value.disconnect { _ in continuation.resume() } }
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
