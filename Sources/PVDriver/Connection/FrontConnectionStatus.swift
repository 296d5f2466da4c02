/// What the status of every front-end says of its connection.
public protocol FrontConnectionStatus: Sendable {
  var isConnected: Bool { get set }
  /// How often a back-end was connected.
  var connectionCount: UInt64 { get set }
  /// Why there is no connection, or why the last one ended.
  var failure: String? { get set }
}

extension ReportBoard where Status: FrontConnectionStatus {
  /// A back-end is connected; `report` says of what it is told, and changes what else the status has.
  public func began(_ report: (inout Status) -> Report) {
    self.report { status in
      status.isConnected = true
      status.failure = nil
      status.connectionCount += 1
      return report(&status)
    }
  }

  /// There is no connection any more, for a `reason`.
  public func ended(_ reason: String, _ report: Report) {
    self.report { status in
      status.isConnected = false
      status.failure = reason
      return report
    }
  }

  /// There never will be one again. The last report.
  public func closed(_ report: Report) {
    close { status in
      status.isConnected = false
      status.failure = status.failure ?? "closed"
      return report
    }
  }
}
