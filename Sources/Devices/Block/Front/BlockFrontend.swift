public import EventLoop
import PVDriver
import XenInterface

/// A paravirtual block device as programs use it: asynchronous, from any task, many operations in flight.
///
/// ```swift
/// let disk = BlockFrontend(on: thread.loop)
/// // … run a XenbusFrontend with BlockFrontendDriver(disk, …) …
/// try await disk.write(bytes, at: 0)
/// try await disk.flush()
/// let copy = try await disk.read(at: 0, byteCount: bytes.count)
/// ```
/// Offsets and lengths are bytes, multiples of the sector size. While no back-end is connected operations wait for one, up to
/// ``BlockFrontConfiguration/reconnectTimeoutNanoseconds``. Operations that overlap and are in flight together may be done in
/// any order. An operation is not cancelled with its task: it was asked for, and its pages are with the back-end.
public final class BlockFrontend: Sendable {
  public let loop: EventLoop
  public let configuration: BlockFrontConfiguration
  /// The ring half, for others on the same loop (NBD export).
  public let plane: LoopConfined<BlockFrontPlane>
  let reporter: BlockFrontReporter
  private let served: ServedPlane<BlockFrontPlane>

  /// A front-end that is served by `loop`, and not connected yet.
  public init(on loop: EventLoop, configuration: BlockFrontConfiguration = BlockFrontConfiguration()) {
    let reporter = BlockFrontReporter()
    self.loop = loop
    self.configuration = configuration
    self.reporter = reporter
    served = ServedPlane(BlockFrontPlane(configuration: configuration, reporter: reporter), on: loop)
    plane = served.plane
  }

  /// Connection, geometry and the last failure, as they are now.
  public var status: BlockFrontStatus { reporter.status }

  /// What the device is; nil before the first connection.
  public var geometry: BlockFrontGeometry? { reporter.status.geometry }

  /// What happens to the connection from now on, for any number of listeners. Ends when the front-end is closed.
  public func reports() -> AsyncStream<BlockFrontReport> { reporter.reports() }

  /// Waits until a back-end is connected. Returns at once when one is.
  public func waitUntilConnected() async throws(BlockFrontError) -> BlockFrontGeometry {
    let reports = reports()
    let now = status
    if now.isConnected, let geometry = now.geometry { return geometry }
    for await report in reports {
      switch report {
      case .connected(let geometry), .reconnected(let geometry): return geometry
      case .closed: throw .closed
      case .changed, .featureRefused, .backendLost, .disconnected, .broken: continue
      }
    }
    throw .closed
  }

  /// What has been done since the front-end was made.
  public func counters() async -> BlockFrontPlane.Counters { await loop.run { [plane] in plane.value.counters } }

  /// Fails what waits and everything from now on. After the life cycle has ended.
  public func close() async { await served.close() }
}
