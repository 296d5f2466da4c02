import Synchronization

/// A transport without a socket: one end of two closures. What is sent goes to `sendToPeer`; what the peer sends comes in through ``deliver(_:)``.
///
/// ```swift
/// let (client, server) = XenStoreLoopbackTransport.pair()
/// ```
public final class XenStoreLoopbackTransport: XenStoreTransport {
  private enum State {
    /// Nobody listens yet: what arrives waits.
    case waiting([[UInt8]], isClosed: Bool)
    case open(receive: @Sendable ([UInt8]) -> Void, closed: @Sendable () -> Void)
    case closed
  }

  private let state = Mutex(State.waiting([], isClosed: false))
  private let sendToPeer: @Sendable ([UInt8]) -> Void
  private let closePeer: @Sendable () -> Void

  /// Makes one end. `sendToPeer` and `closePeer` are called on the thread that sends or closes.
  public init(sendToPeer: @escaping @Sendable ([UInt8]) -> Void, closePeer: @escaping @Sendable () -> Void) {
    self.sendToPeer = sendToPeer
    self.closePeer = closePeer
  }

  /// Two ends, each delivering to the other at once, on the sender's thread.
  public static func pair() -> (client: XenStoreLoopbackTransport, server: XenStoreLoopbackTransport) {
    let peerOfServer = Peer()
    let server = XenStoreLoopbackTransport(sendToPeer: { peerOfServer.end?.deliver($0) }, closePeer: { peerOfServer.end?.peerClosed() })
    let client = XenStoreLoopbackTransport(sendToPeer: { server.deliver($0) }, closePeer: { server.peerClosed() })
    peerOfServer.end = client
    return (client, server)
  }

  /// The other end, known only after both were made.
  private final class Peer: Sendable {
    private let stored = Mutex<XenStoreLoopbackTransport?>(nil)
    var end: XenStoreLoopbackTransport? {
      get { stored.withLock { $0 } }
      set { stored.withLock { $0 = newValue } }
    }
  }

  /// Takes bytes that the peer sent. The peer calls it from one thread at a time.
  public func deliver(_ bytes: [UInt8]) {
    let receive: (@Sendable ([UInt8]) -> Void)? = state.withLock { state in
      switch state {
      case .waiting(let chunks, let isClosed):
        state = .waiting(chunks + [bytes], isClosed: isClosed)
        return nil
      case .open(let receive, _): return receive
      case .closed: return nil
      }
    }
    receive?(bytes)
  }

  /// The peer closed its end.
  public func peerClosed() {
    let closed: (@Sendable () -> Void)? = state.withLock { state in
      switch state {
      case .waiting(let chunks, _):
        state = .waiting(chunks, isClosed: true)
        return nil
      case .open(_, let closed):
        state = .closed
        return closed
      case .closed: return nil
      }
    }
    closed?()
  }

  public func start(receive: @escaping @Sendable ([UInt8]) -> Void, closed: @escaping @Sendable () -> Void) {
    let waiting: (chunks: [[UInt8]], isClosed: Bool) = state.withLock { state in
      guard case .waiting(let chunks, let isClosed) = state else { return ([], false) }
      state = isClosed ? .closed : .open(receive: receive, closed: closed)
      return (chunks, isClosed)
    }
    for chunk in waiting.chunks { receive(chunk) }
    if waiting.isClosed { closed() }
  }

  public func send(_ bytes: [UInt8]) throws(XenStoreTransportClosed) {
    let isClosed = state.withLock { state in
      switch state {
      case .closed, .waiting(_, isClosed: true): true
      case .open, .waiting: false
      }
    }
    if isClosed { throw XenStoreTransportClosed() }
    sendToPeer(bytes)
  }

  public func close() {
    let wasOpen: (wasOpen: Bool, closed: (@Sendable () -> Void)?) = state.withLock { state in
      defer { state = .closed }
      switch state {
      case .waiting(_, let isClosed): return (!isClosed, nil)
      case .open(_, let closed): return (true, closed)
      case .closed: return (false, nil)
      }
    }
    if wasOpen.wasOpen { closePeer() }
    wasOpen.closed?()
  }
}
