import Synchronization

extension XenStoreClient {
  /// Whether there is a connection.
  public enum ConnectionState: Hashable, Sendable {
    case connected
    /// The connection has ended, and the client tries to get another one.
    case reconnecting
    /// There will be no connection any more.
    case closed
  }

  /// How it is now.
  public var connectionState: ConnectionState { state.withLock { $0.link.connectionState } }

  /// How it is now, and every change from now on; ends after ``ConnectionState/closed``. Each call gives a sequence of its own, for one
  /// consumer; one that falls behind sees the latest changes.
  public var connectionStates: AsyncStream<ConnectionState> {
    let (stream, continuation) = AsyncStream<ConnectionState>.makeStream(bufferingPolicy: .bufferingNewest(16))
    let isOver = state.withLock { state in
      continuation.yield(state.link.connectionState)
      if case .closed = state.link { return true }
      state.lastListener += 1
      let number = state.lastListener
      state.stateListeners[number] = continuation
      continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.stateListeners[number] = nil } }
      return false
    }
    if isOver { continuation.finish() }
    return stream
  }

  /// Not under the lock: the end of a stream calls back.
  func finishListeners() {
    let listeners = state.withLock { state in
      defer { state.stateListeners = [:] }
      return Array(state.stateListeners.values)
    }
    for listener in listeners { listener.finish() }
  }
}

extension XenStoreClient.Link {
  var connectionState: XenStoreClient.ConnectionState {
    switch self {
    case .connected: .connected
    case .restoring, .disconnected: .reconnecting
    case .closed: .closed
    }
  }
}

extension XenStoreClient.State {
  func announce(_ state: XenStoreClient.ConnectionState) {
    for listener in stateListeners.values { listener.yield(state) }
  }
}
