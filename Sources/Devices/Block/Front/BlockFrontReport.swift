public import XenInterface
import Synchronization

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
public struct BlockFrontStatus: Sendable, Equatable {
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
  private struct State {
    var status = BlockFrontStatus()
    var listeners: [Int: AsyncStream<BlockFrontReport>.Continuation] = [:]
    var nextListener = 0
    var isClosed = false
  }
  private let state = Mutex(State())

  public init() {}

  public var status: BlockFrontStatus { state.withLock { $0.status } }

  /// Reports from now on; the last 64 are kept for a listener that is slow. Ends when the front-end is closed.
  public func reports() -> AsyncStream<BlockFrontReport> {
    let (stream, continuation) = AsyncStream<BlockFrontReport>.makeStream(bufferingPolicy: .bufferingNewest(64))
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

  func connected(_ geometry: BlockFrontGeometry) {
    report { status in
      status.isConnected = true
      status.geometry = geometry
      status.failure = nil
      status.connectionCount += 1
      return status.connectionCount == 1 ? .connected(geometry) : .reconnected(geometry)
    }
  }

  func changed(_ geometry: BlockFrontGeometry) {
    report { status in
      status.geometry = geometry
      return .changed(geometry)
    }
  }

  func featureRefused(_ operation: BlkifOperation, geometry: BlockFrontGeometry) {
    report { status in
      status.geometry = geometry
      return .featureRefused(operation)
    }
  }

  func lost(_ reason: String) {
    report { status in
      status.isConnected = false
      status.failure = reason
      return .backendLost(reason)
    }
  }

  func disconnected() {
    report { status in
      status.isConnected = false
      status.failure = "the connection was closed"
      return .disconnected
    }
  }

  func broken(_ fault: BlockFrontFault) {
    report { status in
      status.isConnected = false
      status.failure = fault.description
      return .broken(fault)
    }
  }

  func closed() {
    report { status in
      status.isConnected = false
      status.failure = status.failure ?? "closed"
      return .closed
    }
    let listeners = state.withLock { state in
      state.isClosed = true
      defer { state.listeners = [:] }
      return Array(state.listeners.values)
    }
    for listener in listeners { listener.finish() }
  }

  private func report(_ change: (inout BlockFrontStatus) -> BlockFrontReport) {
    let (report, listeners) = state.withLock { (change(&$0.status), Array($0.listeners.values)) }
    for listener in listeners { listener.yield(report) }
  }
}
