public import PVDriver
public import XenInterface

/// What happens to a front-end's connection.
public enum BlockFrontReport: Sendable, Equatable {
  /// A back-end is connected for the first time.
  case connected(BlockFrontGeometry)
  /// A back-end is connected again.
  case reconnected(BlockFrontGeometry)
  /// Size or features changed while connected.
  case changed(BlockFrontGeometry)
  /// The back-end refused an operation that it had offered: it is not used any more.
  case featureRefused(BlkifOperation)
  /// The back-end went away: requests in flight have failed, later ones wait.
  case backendLost(String)
  /// The connection was closed in good order, with every request answered: later ones wait for the next connection.
  case disconnected
  /// The back-end broke a rule: everything has failed, the connection is given up.
  case broken(BlockFrontFault)
  case closed
}

/// Where a front-end is right now.
public struct BlockFrontStatus: FrontConnectionStatus, Equatable {
  public var isConnected = false
  public var geometry: BlockFrontGeometry?
  /// How often a back-end was connected.
  public var connectionCount: UInt64 = 0
  /// Why there is no connection, or why the last one ended.
  public var failure: String?
  public init() {}
}

/// Tells everybody who asked. Thread-safe.
public final class BlockFrontReporter: Sendable {
  private let board = ReportBoard<BlockFrontStatus, BlockFrontReport>(BlockFrontStatus())

  public init() {}

  public var status: BlockFrontStatus { board.status }

  /// Reports from now on; the last 64 are kept for a listener that is slow. Ends when the front-end is closed.
  public func reports() -> AsyncStream<BlockFrontReport> { board.reports() }

  func connected(_ geometry: BlockFrontGeometry) {
    board.began { status in
      status.geometry = geometry
      return status.connectionCount == 1 ? .connected(geometry) : .reconnected(geometry)
    }
  }

  func changed(_ geometry: BlockFrontGeometry) { report(.changed(geometry), geometry) }
  func featureRefused(_ operation: BlkifOperation, geometry: BlockFrontGeometry) { report(.featureRefused(operation), geometry) }

  private func report(_ report: BlockFrontReport, _ geometry: BlockFrontGeometry) {
    board.report { status in
      status.geometry = geometry
      return report
    }
  }

  func lost(_ reason: String) { board.ended(reason, .backendLost(reason)) }
  func disconnected() { board.ended("the connection was closed", .disconnected) }
  func broken(_ fault: BlockFrontFault) { board.ended(fault.description, .broken(fault)) }
  func closed() { board.closed(.closed) }
}
