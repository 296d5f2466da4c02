public import EventLoop
import PVDriver

/// A paravirtual network interface as programs use it, on a loop.
///
/// ```swift
/// let interface = NetFrontend(on: thread.loop)
/// // … run a XenbusFrontend with NetFrontendDriver(interface, …) …
/// _ = await interface.waitUntilConnected()
/// await interface.send([NetFrame(bytes)])
/// for await frame in try await interface.frames() { … }
/// ```
/// Whoever needs no copies uses ``plane``, on the loop. While no back-end is connected, frames are refused; those on their way when a back-end dies
/// are lost, as on any network.
public final class NetFrontend: Sendable {
  public let loop: EventLoop
  public let configuration: NetFrontConfiguration
  /// The ring half.
  public let plane: LoopConfined<NetFrontPlane>
  private let reporter: NetFrontReporter
  private let served: ServedPlane<NetFrontPlane>

  /// A front-end that is served by `loop`, and not connected yet.
  public init(on loop: EventLoop, configuration: NetFrontConfiguration = NetFrontConfiguration()) {
    let reporter = NetFrontReporter()
    self.loop = loop
    self.configuration = configuration
    self.reporter = reporter
    served = ServedPlane(NetFrontPlane(configuration: configuration, reporter: reporter), on: loop)
    plane = served.plane
  }

  /// Connection, link and the last failure, as they are now.
  public var status: NetFrontStatus { reporter.status }

  /// What happens to the connection from now on, for any number of listeners. Ends when the front-end is closed.
  public func reports() -> AsyncStream<NetFrontReport> { reporter.reports() }

  /// Waits until a back-end is connected; returns at once when one is. Nil when the front-end was closed first.
  public func waitUntilConnected() async -> NetFrontLink? {
    let reports = reports()
    if status.isConnected, let link = status.link { return link }
    for await report in reports {
      if case .connected(let link) = report { return link }
    }
    return nil
  }

  /// What has been done since the front-end was made.
  public func counters() async -> NetFrontCounters { await loop.run { [plane] in plane.value.counters } }

  /// Refuses everything from now on. After the life cycle has ended.
  public func close() async { await served.close() }
}
