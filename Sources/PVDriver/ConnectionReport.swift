/// What happens to a front-end's connection.
public enum ConnectionReport<Fault: Error & Sendable & Equatable>: Sendable, Equatable {
  /// A back-end is connected, for the first time or again.
  case connected(again: Bool)
  /// The back-end went away with requests in flight, or while it was in use.
  case backendLost(String)
  /// The connection was closed in good order.
  case disconnected
  /// The back-end broke a rule: the connection is given up.
  case broken(Fault)
  case closed
}

/// Where a front-end is right now.
public struct ConnectionStatus: FrontConnectionStatus, Equatable, Codable {
  public var isConnected = false
  /// How often a back-end was connected.
  public var connectionCount: UInt64 = 0
  /// Why there is no connection, or why the last one ended.
  public var failure: String?
  public init() {}
}

/// Tells everybody who asked what happens to a connection. Thread-safe.
public final class ConnectionReporter<Fault: Error & Sendable & Equatable & CustomStringConvertible>: Sendable {
  private let board = ReportBoard<ConnectionStatus, ConnectionReport<Fault>>(ConnectionStatus())

  public init() {}

  public var status: ConnectionStatus { board.status }

  /// Reports from now on; the last 64 are kept for a listener that is slow. Ends when the front-end is closed.
  public func reports() -> AsyncStream<ConnectionReport<Fault>> { board.reports() }

  /// Returns true when a back-end is connected, at once or later; false when the front-end is closed first.
  public func waitUntilConnected() async -> Bool {
    let reports = reports()
    if status.isConnected { return true }
    for await report in reports {
      if case .connected = report { return true }
      if case .closed = report { return false }
    }
    return false
  }

  public func connected() { board.began { .connected(again: $0.connectionCount > 1) } }
  public func lost(_ reason: String) { board.ended(reason, .backendLost(reason)) }
  public func disconnected() { board.ended("the connection was closed", .disconnected) }
  public func broken(_ fault: Fault) { board.ended(fault.description, .broken(fault)) }
  public func closed() { board.closed(.closed) }
}
