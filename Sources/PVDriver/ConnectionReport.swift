import Synchronization

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
public struct ConnectionStatus: Sendable, Equatable, Codable {
  public var isConnected = false
  /// How often a back-end was connected.
  public var connectionCount: UInt64 = 0
  /// Why there is no connection, or why the last one ended.
  public var failure: String?
  public init() {}
}

/// Tells everybody who asked what happens to a connection. Thread-safe.
public final class ConnectionReporter<Fault: Error & Sendable & Equatable & CustomStringConvertible>: Sendable {
  private struct State {
    var status = ConnectionStatus()
    var listeners: [Int: AsyncStream<ConnectionReport<Fault>>.Continuation] = [:]
    var nextListener = 0
    var isClosed = false
  }
  private let state = Mutex(State())

  public init() {}

  public var status: ConnectionStatus { state.withLock { $0.status } }

  /// Reports from now on; the last 64 are kept for a listener that is slow. Ends when the front-end is closed.
  public func reports() -> AsyncStream<ConnectionReport<Fault>> {
    let (stream, continuation) = AsyncStream<ConnectionReport<Fault>>.makeStream(bufferingPolicy: .bufferingNewest(64))
    let key = state.withLock { state -> Int? in
      if state.isClosed { return nil }
      state.nextListener += 1
      state.listeners[state.nextListener] = continuation
      return state.nextListener
    }
    if let key {
      continuation.onTermination = { [weak self] _ in self?.state.withLock { _ = $0.listeners.removeValue(forKey: key) } }
    } else {
      continuation.finish()
    }
    return stream
  }

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

  public func connected() {
    let again = status.connectionCount > 0
    report(.connected(again: again)) { status in
      status.isConnected = true
      status.failure = nil
      status.connectionCount += 1
    }
  }

  public func lost(_ reason: String) { report(.backendLost(reason)) { $0.end(reason) } }
  public func disconnected() { report(.disconnected) { $0.end("the connection was closed") } }
  public func broken(_ fault: Fault) { report(.broken(fault)) { $0.end(fault.description) } }

  public func closed() {
    report(.closed) { $0.end($0.failure ?? "closed") }
    let listeners = state.withLock { state in
      state.isClosed = true
      defer { state.listeners = [:] }
      return Array(state.listeners.values)
    }
    for listener in listeners { listener.finish() }
  }

  private func report(_ report: ConnectionReport<Fault>, _ change: (inout ConnectionStatus) -> Void) {
    let listeners = state.withLock { state in
      change(&state.status)
      return Array(state.listeners.values)
    }
    for listener in listeners { listener.yield(report) }
  }
}

extension ConnectionStatus {
  fileprivate mutating func end(_ reason: String) {
    isConnected = false
    failure = reason
  }
}
