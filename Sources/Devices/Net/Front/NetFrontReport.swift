public import NetPackets
public import PVDriver

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
public struct NetFrontStatus: FrontConnectionStatus, Equatable {
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
  private let board = ReportBoard<NetFrontStatus, NetFrontReport>(NetFrontStatus())

  var status: NetFrontStatus { board.status }

  /// Reports from now on; the last 64 are kept for a listener that is slow. Ends when the front-end is closed.
  func reports() -> AsyncStream<NetFrontReport> { board.reports() }

  func connected(_ link: NetFrontLink) {
    board.began { status in
      status.link = link
      return .connected(link)
    }
  }

  func changed(_ link: NetFrontLink) {
    board.report { status in
      status.link = link
      return .changed(link)
    }
  }

  func lost(_ reason: String) { board.ended(reason, .backendLost(reason)) }
  func disconnected() { board.ended("the connection was closed", .disconnected) }
  func broken(_ fault: NetFrontFault) { board.ended(fault.description, .broken(fault)) }
  func closed() { board.closed(.closed) }
}
