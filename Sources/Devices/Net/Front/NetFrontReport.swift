public import NetPackets
import Synchronization

/// What a front-end knows of its interface.
public struct NetFrontLink: Sendable, Equatable {
  /// The interface's address (`mac`); nil when the toolstack has given none.
  public var address: MACAddress?
  /// Largest packet behind the Ethernet header in bytes (`mtu`).
  public var mtu: Int
  /// Whether what is behind the back-end is up (`carrier`).
  public var isUp: Bool
  public var queueCount: Int
  /// What the back-end takes of us without help.
  public var capabilities: FrameCapabilities
}

/// What happens to a front-end's connection.
public enum NetFrontReport: Sendable, Equatable {
  /// A back-end is connected, for the first time or again.
  case connected(NetFrontLink)
  /// The link went up or down, or has other properties.
  case changed(NetFrontLink)
  /// The back-end went away: frames on their way are lost.
  case backendLost(String)
  /// The connection was closed in good order.
  case disconnected
  /// The back-end broke a rule: the connection is given up.
  case broken(NetFrontFault)
  case closed
}

/// Where a front-end is right now.
public struct NetFrontStatus: Sendable, Equatable {
  public var isConnected = false
  public var link: NetFrontLink?
  /// How often a back-end was connected.
  public var connectionCount: UInt64 = 0
  /// Why there is no connection, or why the last one ended.
  public var failure: String?
  public init() {}
}

/// Tells everybody who asked. Thread-safe.
final class NetFrontReporter: Sendable {
  private struct State {
    var status = NetFrontStatus()
    var listeners: [Int: AsyncStream<NetFrontReport>.Continuation] = [:]
    var nextListener = 0
    var isClosed = false
  }
  private let state = Mutex(State())

  var status: NetFrontStatus { state.withLock { $0.status } }

  /// Reports from now on; the last 64 are kept for a listener that is slow. Ends when the front-end is closed.
  func reports() -> AsyncStream<NetFrontReport> {
    let (stream, continuation) = AsyncStream<NetFrontReport>.makeStream(bufferingPolicy: .bufferingNewest(64))
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

  func connected(_ link: NetFrontLink) {
    report(.connected(link)) { status in
      status.isConnected = true
      status.link = link
      status.failure = nil
      status.connectionCount += 1
    }
  }

  func changed(_ link: NetFrontLink) { report(.changed(link)) { $0.link = link } }
  func lost(_ reason: String) { report(.backendLost(reason)) { $0.end(reason) } }
  func disconnected() { report(.disconnected) { $0.end("the connection was closed") } }
  func broken(_ fault: NetFrontFault) { report(.broken(fault)) { $0.end(fault.description) } }

  func closed() {
    report(.closed) { $0.end($0.failure ?? "closed") }
    let listeners = state.withLock { state in
      state.isClosed = true
      defer { state.listeners = [:] }
      return Array(state.listeners.values)
    }
    for listener in listeners { listener.finish() }
  }

  private func report(_ report: NetFrontReport, _ change: (inout NetFrontStatus) -> Void) {
    let listeners = state.withLock { state in
      change(&state.status)
      return Array(state.listeners.values)
    }
    for listener in listeners { listener.yield(report) }
  }
}

extension NetFrontStatus {
  fileprivate mutating func end(_ reason: String) {
    isConnected = false
    failure = reason
  }
}
