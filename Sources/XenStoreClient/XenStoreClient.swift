public import LinuxSystem
public import SystemPackage
import XenInterface
import Synchronization
import XenStoreWire

/// A connection to a store. Any number of tasks may use it at once: requests are sent as they come, and replies find theirs.
///
/// When the connection ends, all waiting operations throw ``XenStoreClientError/connectionLost``, so do all later ones, and every watch
/// ends; unless the client is configured to connect again (``Configuration/Reconnect``).
/// ```swift
/// let store = try XenStoreClient(path: "/run/pvio/xenstored/socket")
/// let state = try await store.read("device/vbd/51712/state")
/// for await _ in try await store.watch("device/vbd/51712/state") { … }
/// ```
public final class XenStoreClient: XenStoreAccess {
  /// Makes a connection to the store; blocks for as long as that takes.
  public typealias Connector = @Sendable () throws(Errno) -> any XenStoreTransport

  struct State {
    var link: Link
    /// Counts connections: what belongs to an earlier one is recognised by its number.
    var epoch: UInt64 = 1
    var parser = XenStorePacketParser()
    var lastRequestID: UInt32 = 0
    var lastToken: UInt64 = 0
    /// Requests without a reply, sent or held.
    var waiting: [UInt32: WaitingRequest] = [:]
    /// Requests of ``waiting`` that nobody waits for any more.
    var abandonedCount = 0
    /// What is to be sent as soon as there is a connection, in order.
    var held: [HeldPacket] = []
    var watches: [String: WatchRegistration] = [:]
    var timer = RequestTimer()
    var attempts = ReconnectAttempts()
    var stateListeners: [UInt64: AsyncStream<ConnectionState>.Continuation] = [:]
    var lastListener: UInt64 = 0
  }

  /// Where requests go.
  enum Link {
    case connected(any XenStoreTransport)
    /// There is a connection again; what was held is sent first.
    case restoring(any XenStoreTransport)
    case disconnected
    case closed
  }

  /// How this client behaves when its store is slow or goes away.
  public let configuration: Configuration
  let state: Mutex<State>
  let connector: Connector?

  /// Speaks to the store at the other end of `transport`, and is closed when that ends.
  public init(transport: any XenStoreTransport, requestTimeLimit: Duration? = nil) {
    configuration = Configuration(requestTimeLimit: requestTimeLimit)
    connector = nil
    state = Mutex(State(link: .connected(transport)))
    start(transport, epoch: 1)
  }

  /// Connects with `connector`, and, where `configuration` says so, again when the connection ends. Throws what the first attempt throws.
  public init(configuration: Configuration, connector: @escaping Connector) throws(Errno) {
    self.configuration = configuration
    self.connector = connector
    let transport = try connector()
    state = Mutex(State(link: .connected(transport)))
    start(transport, epoch: 1)
  }

  /// Connects to the store's socket at `path`. Throws `ENOENT` or `ECONNREFUSED` when no store answers there.
  public convenience init(path: String, configuration: Configuration = Configuration()) throws(Errno) {
    try self.init(configuration: configuration) { () throws(Errno) in try XenStoreSocketTransport(path: path) }
  }

  /// Takes over a socket that is connected to a store.
  public convenience init(socket: consuming OwnedDescriptor) throws(Errno) {
    self.init(transport: try XenStoreSocketTransport(socket: socket))
  }

  deinit {
    // Nobody waits for a reply or holds a watch: they would hold the client.
    let (transport, listeners) = state.withLock { ($0.link.transport, $0.stateListeners.values) }
    transport?.close()
    for listener in listeners { listener.finish() }
  }

  /// Ends the connection at once, and for good.
  public func close() { shutDown() }

  /// Begins to receive on a new connection.
  func start(_ transport: any XenStoreTransport, epoch: UInt64) {
    transport.start(
      receive: { [weak self] in self?.receive($0, epoch: epoch) },
      closed: { [weak self] in self?.lose(epoch: epoch) })
  }
}

extension XenStoreClient.Link {
  var transport: (any XenStoreTransport)? {
    switch self {
    case .connected(let transport), .restoring(let transport): transport
    case .disconnected, .closed: nil
    }
  }
}
