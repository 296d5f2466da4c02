/// A guest that does not read its events loses those that have waited for longer than its quota allows (XSA-326): without this, a guest
/// that stands still would hold what others cause for as long as it likes. As in Xen, the connection goes on, and a privileged one waits
/// as long as it likes (`timeout_watch_event_msec`, `check_event_timeout`).
extension XenStoreCore {
  /// Time limits are looked at no more often than this, so that many guests with events of different ages cost little.
  private static let lookIntervalNanoseconds: UInt64 = 100_000_000

  /// An event was added to the output of an unprivileged connection.
  func noteEvent(for connection: StoreConnection) {
    connection.eventAges.append(since: now)
    guard nextEventDeadline == nil, let limit = eventLimitNanoseconds(of: connection) else { return }
    nextEventDeadline = now + limit
  }

  /// The clock begins: what waits already waits from now on.
  func restartEventAges() {
    for connection in connections.elements {
      connection.eventAges.restart(at: now)
      if connection.eventAges.oldest != nil { nextEventDeadline = now }
    }
  }

  /// A limit has changed: it is looked at anew.
  func restartEventDeadline() { nextEventDeadline = now }

  /// Drops the events that nobody has read in time, and finds out when to look again.
  func dropLateEvents() {
    guard let deadline = nextEventDeadline, deadline <= now else { return }
    var next: UInt64?
    for connection in connections.elements {
      guard connection.eventAges.oldest != nil, let limit = eventLimitNanoseconds(of: connection) else { continue }
      dropEvents(of: connection, olderThan: limit)
      if let oldest = connection.eventAges.oldest { next = min(next ?? .max, oldest + limit) }
    }
    nextEventDeadline = next.map { max($0, now + XenStoreCore.lookIntervalNanoseconds) }
  }

  private func dropEvents(of connection: StoreConnection, olderThan limit: UInt64) {
    guard now >= limit, let oldest = connection.eventAges.oldest else { return }
    let count = connection.eventAges.removeAll(since: now - limit)
    guard count > 0 else { return }
    let dropped = connection.output.removeOldestEvents(count)
    if journal.isOn { connection.gate.remove(dropped) }
    settleQueue(of: connection)
    let age = Int(clamping: (now - oldest) / 1_000_000)
    quotaState.peaks.note(.watchEvent, age)
    _ = refuse(.watchEvent, of: connection.domain, limit: Int(limit / 1_000_000), value: age)
    // What was behind the events may be sent now.
    markReady(connection)
  }

  /// Nil when its events wait as long as it likes.
  private func eventLimitNanoseconds(of connection: StoreConnection) -> UInt64? {
    let milliseconds = limit(.watchEvent, of: connection.domain)
    return milliseconds == .max ? nil : UInt64(milliseconds) * 1_000_000
  }
}
