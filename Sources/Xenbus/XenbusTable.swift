public import XenInterface

/// The states of one end of a device. Several may read the same in the store.
public protocol XenbusEndState: Hashable, Sendable, CaseIterable, RawRepresentable<String> {
  /// The end's life cycle as a table.
  static var table: XenbusTable<Self> { get }
  /// The end that lives this life.
  static var side: XenbusSide { get }
}

/// The life cycle of one end as data: for each state what is published, what is held, and what each event leads to.
///
/// A condition that a row does not list changes nothing now; it is looked at again in every later state. An outcome
/// that a row does not list cannot happen there.
public struct XenbusTable<State: XenbusEndState>: Sendable {
  public let rows: [XenbusRow<State>]
  private let rowByState: [State: XenbusRow<State>]
  private let ruleByEvent: [State: [XenbusEvent: XenbusRule<State>]]

  /// - Precondition: one row a state, and no event twice in a row.
  public init(_ rows: [XenbusRow<State>]) {
    self.rows = rows
    rowByState = Dictionary(uniqueKeysWithValues: rows.map { ($0.state, $0) })
    ruleByEvent = rowByState.mapValues { row in
      Dictionary(uniqueKeysWithValues: row.rules.flatMap { rule in rule.events.map { ($0, rule) } })
    }
  }

  /// The state's row.
  public subscript(_ state: State) -> XenbusRow<State> {
    guard let row = rowByState[state] else { preconditionFailure("state \(state) has no row") }
    return row
  }

  /// What `event` leads to in `state`. Defined for every pair.
  public func reaction(to event: XenbusEvent, in state: State) -> XenbusReaction<State> {
    if let rule = ruleByEvent[state]?[event] { return .step(rule) }
    return event.isOutcome ? .impossible : .noChange
  }
}

/// One state of one end.
public struct XenbusRow<State: XenbusEndState>: Sendable {
  public let state: State
  /// What the own `state` key reads in this state; nil where it is left as the state before had it.
  public let reads: XenbusState?
  /// Whether the driver may hold something of the connection: rings, mappings, ports.
  public let holdsConnection: Bool
  /// How long the end waits here before `deadlinePassed`.
  public let deadline: XenbusDeadline?
  /// What the end does or waits for, for people.
  public let meaning: String
  public let rules: [XenbusRule<State>]

  public init(
    _ state: State, reads: XenbusState?, holdsConnection: Bool = false, deadline: XenbusDeadline? = nil, _ meaning: String,
    _ rules: [XenbusRule<State>]
  ) {
    self.state = state
    self.reads = reads
    self.holdsConnection = holdsConnection
    self.deadline = deadline
    self.meaning = meaning
    self.rules = rules
  }
}

/// What some events of a row lead to: the next state, and what to do on the way.
public struct XenbusRule<State: XenbusEndState>: Sendable {
  public let events: [XenbusEvent]
  public let next: State
  public let actions: [XenbusAction]
  /// The reason, where the rule does not speak for itself.
  public let reason: String?

  public init(_ events: [XenbusEvent], to next: State, _ actions: [XenbusAction] = [], _ reason: String? = nil) {
    self.events = events
    self.next = next
    self.actions = actions
    self.reason = reason
  }
}

/// What the table says about one pair of state and event.
public enum XenbusReaction<State: XenbusEndState>: Sendable {
  case step(XenbusRule<State>)
  /// A condition that does not matter in this state.
  case noChange
  /// An outcome of an operation that is not under way in this state: our own mistake.
  case impossible
}

/// Which patience a state has; the durations are in ``XenbusTimeouts``.
public enum XenbusDeadline: String, Sendable, CaseIterable {
  /// The peer has this long to take part in closing or reconfiguring.
  case peer
  /// The pause before the next attempt; grows with each failure.
  case retry
}
