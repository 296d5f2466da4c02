public import NetPackets
import PVDriver

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
  private let board = ReportBoard<NetFrontStatus, NetFrontReport>(NetFrontStatus())

  var status: NetFrontStatus { board.status }

  /// Reports from now on; the last 64 are kept for a listener that is slow. Ends when the front-end is closed.
  func reports() -> AsyncStream<NetFrontReport> { board.reports() }

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
    board.close { status in
      status.end(status.failure ?? "closed")
      return .closed
    }
  }

  private func report(_ report: NetFrontReport, _ change: (inout NetFrontStatus) -> Void) {
    board.report { status in
      change(&status)
      return report
    }
  }
}

extension NetFrontStatus {
  fileprivate mutating func end(_ reason: String) {
    isConnected = false
    failure = reason
  }
}
