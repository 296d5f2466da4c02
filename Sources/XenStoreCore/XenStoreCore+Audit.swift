import XenInterface
import XenStoreWire

extension XenStoreCore {
  /// Keeps record of changes from now on. `now` gives microseconds since 1970-01-01 UTC; the core has no clock of its own.
  public func startAudit(_ audit: XenStoreAudit = XenStoreAudit(), now: @escaping () -> UInt64) {
    auditClock = now
    self.audit = audit
  }

  /// Keeps no record any more, and forgets the one that there was. Costs nothing then.
  public func stopAudit() { audit = nil }

  // MARK: For the other parts of the core

  /// Notes what a request did: at once, or when its transaction is committed.
  func audit(_ operation: XenStoreAudit.Operation, _ path: @autoclosure () -> XenStorePath, _ request: StoreRequest) {
    guard audit != nil else { return }
    if let transaction = request.transaction {
      transaction.noteAudit(operation, path())
    } else {
      audit(operation, path(), domain: request.connection.domain, label: request.connection.labelBytes)
    }
  }

  /// Notes what the daemon did itself, or a whole commit.
  func audit(_ operation: XenStoreAudit.Operation, _ path: XenStorePath, domain: DomainID, label: [UInt8]) {
    audit?.append(operation, path, domain: domain, label: label, unixMicroseconds: auditClock())
  }

  func auditCommit(of transaction: StoreTransaction, by connection: StoreConnection) {
    guard audit != nil else { return }
    for change in transaction.audited.entries.lazy.map(\.element) { audit(change.operation, change.path, domain: connection.domain, label: connection.labelBytes) }
  }

  // MARK: Requests

  /// `audit [<after-sequence>]`: as many lines as fit, the oldest first; none means that there are no more. A reader goes on behind the
  /// last number it got, and sees from a gap that changes were forgotten in between. `audit on` and `audit off`.
  func controlAudit(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    switch arguments.first {
    case "on" where arguments.count == 1:
      if audit == nil { audit = XenStoreAudit() }
      return .acknowledgement
    case "off" where arguments.count == 1:
      stopAudit()
      return .acknowledgement
    default:
      guard arguments.count <= 1, let after = UInt64(arguments.first ?? "0") else { throw .invalidArgument }
      guard let audit else { throw .notImplemented }
      return .page(audit.entries(after: after).lazy.map(\.description))
    }
  }
}
