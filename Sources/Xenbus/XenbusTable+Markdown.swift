import XenInterface

extension XenbusTable {
  /// The table for people: one section a state, one line a rule.
  public func markdown() -> String {
    var lines: [String] = []
    for row in rows {
      lines.append("### \(State.side.rawValue): \(row.state.rawValue)")
      lines.append("")
      var facts = [row.reads.map { "publishes **\($0)**" } ?? "leaves its key as it is"]
      if row.holdsConnection { facts.append("may hold rings, grants, ports") }
      if let deadline = row.deadline { facts.append("\(deadline.rawValue) deadline") }
      lines.append("\(row.meaning) (\(facts.joined(separator: "; ")).)")
      lines.append("")
      if row.rules.isEmpty {
        lines.append("The end: nothing leads out of here.")
      } else {
        lines.append("| when | then | do | because |")
        lines.append("|---|---|---|---|")
        for rule in row.rules {
          let next = rule.next == row.state ? "stay" : "**\(rule.next.rawValue)**"
          let actions = rule.actions.map(\.description).joined(separator: ", ")
          lines.append("| \(Self.names(rule.events)) | \(next) | \(actions) | \(rule.reason ?? "") |")
        }
      }
      lines.append("")
    }
    return lines.joined(separator: "\n")
  }

  /// `peer 5, 6` instead of `peer closing (5), peer closed (6)`.
  private static func names(_ events: [XenbusEvent]) -> String {
    var peers: [String] = []
    var others: [String] = []
    for event in events {
      if case .peer(let state) = event { peers.append("\(state.rawValue)") } else { others.append(event.description) }
    }
    if !peers.isEmpty { others.append("peer is " + peers.joined(separator: ", ")) }
    return others.joined(separator: "; ")
  }
}

/// The document `docs/xenbus-states.md`.
public enum XenbusDocument {
  public static func markdown() -> String {
    """
    # The life of a device: both ends as one table

    Printed from `BackendState.table` and `FrontendState.table` in `Sources/Xenbus`; do not edit. A test fails when it
    is stale, another one walks through every interleaving of the two ends.

    How to read it. *Conditions* (a peer's state, a request to stop) are looked at whenever a watch fires and whenever a
    state is entered, the most urgent first; one that a state does not list changes nothing there, and is looked at
    again in the next state. So it does not matter which values of a key are seen and which are skipped. *Outcomes* end
    the one operation that is under way: advertise, prepare, connect, refresh, reconfigure, quiesce or disconnect. There
    is never a second one. "peer is 5" is the peer's `state` key as it reads now: 0 missing, 1 Initialising, 2 InitWait,
    3 Initialised, 4 Connected, 5 Closing, 6 Closed, 7 Reconfiguring, 8 Reconfigured.

    Three rules carry the rest:

    1. **Closed is where the ends meet again.** A back-end offers nothing to a front-end from before: it publishes
       InitWait only when it is new, or when it was Closed and saw the front-end at Initialising. A front-end publishes
       Initialising only when it holds nothing.
    2. **Closing keeps serving.** A back-end at Closing answers requests until the front-end is Closed, so that nothing
       under way is lost.
    3. **The front-end frees last.** It gives its pages back when the back-end has said Closed, or is dead, or did not
       answer for as long as it may take.

    Conditions in the order in which they are looked at: \(XenbusEvent.conditions.filter { if case .peer = $0 { false } else { true } }
      .map(\.description).joined(separator: ", ")), with the peer's state after "\(XenbusEvent.peerViolation.description)".

    ## Back-end

    \(BackendState.table.markdown())
    ## Front-end

    \(FrontendState.table.markdown())
    """
  }
}
