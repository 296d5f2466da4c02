extension XenStoreClient {
  /// How a client behaves when its store is slow or goes away. The default fails at once and waits for ever.
  public struct Configuration: Hashable, Sendable {
    /// What to do when the connection ends without ``XenStoreClient/close()``.
    public enum Reconnect: Hashable, Sendable {
      /// The client is closed: everything fails with ``XenStoreClientError/connectionLost``, every watch ends.
      case never
      /// Connect again, and register the watches again. `limit` bounds the time without a reply; then the client is closed as with
      /// ``never``. Nil tries for ever.
      case backOff(limit: Duration?)
    }

    public var reconnect: Reconnect
    /// How long a request may take before it throws ``XenStoreClientError/timedOut(_:path:limit:)``; nil for ever.
    public var requestTimeLimit: Duration?
    /// How long a request waits for a connection that was lost before it throws ``XenStoreClientError/notConnected(_:path:limit:)``.
    public var connectionWaitLimit: Duration
    /// Time between attempts to connect.
    public var reconnectBackOff = XenStoreBackOff(first: .milliseconds(10), longest: .seconds(1))

    public init(reconnect: Reconnect = .never, requestTimeLimit: Duration? = nil, connectionWaitLimit: Duration = .seconds(30)) {
      self.reconnect = reconnect
      self.requestTimeLimit = requestTimeLimit
      self.connectionWaitLimit = connectionWaitLimit
    }
  }

  /// Requests that may wait for a connection; further ones fail at once.
  static let heldRequestLimit = 4096

  /// Requests that were given up and that the store has still to answer; with so many, further ones fail at once and are not sent.
  static let abandonedRequestLimit = 1024
}
