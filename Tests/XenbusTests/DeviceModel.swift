import XenInterface
import Xenbus

/// Both ends of one device, the keys between them, and a world that kills, fails and stops: small enough to visit every
/// state that any interleaving can reach. Each step of the real runner is one step here, so an end can be overtaken
/// between changing its state and publishing it.
struct DeviceModel: Hashable {
  /// What may go wrong, counted down.
  struct Faults: Hashable {
    var backendKills: UInt8 = 0
    var frontendKills: UInt8 = 0
    var failures: UInt8 = 0
    var stops: UInt8 = 0
    var violations: UInt8 = 0
    var requests: UInt8 = 0
    var removal = false
    /// Whether a peer may be slower than our patience.
    var deadlines = false
  }

  /// One end: a process and its directory's `state` key.
  struct End<State: XenbusEndState>: Hashable {
    var isAlive = false
    var state: State
    var key = XenbusState.initialising
    /// Actions of the last transition that are not done.
    var actions: [XenbusAction] = []
    /// The operation of the driver under way.
    var operation: XenbusAction?
    var isCancelled = false
    /// Something changed since it looked last.
    var isAwake = false
    var vanished = false
    var violation = false
    var stop = false
    var repeated = false
    var resumed = false
    var reconfigure = false
    var capacity = false

    init(start: State) { state = start }
  }

  var backend = End<BackendState>(start: .starting)
  var frontend = End<FrontendState>(start: .starting)
  var backingIsReady = false
  var removal = false
  /// The front-end's pages are granted.
  var granted = false
  /// The back-end has them mapped.
  var mapped = false
  /// The mapping outlives the front-end's process: the only way a mapped page may be free.
  var orphaned = false
  var faults: Faults

  init(_ faults: Faults) { self.faults = faults }

  enum Choice: Hashable {
    case look(XenbusSide)
    case act(XenbusSide)
    case outcome(XenbusSide, XenbusEvent)
    case deadline(XenbusSide)
    case start(XenbusSide)
    case backingBecomesReady
    // Faults and requests: never needed for progress.
    case kill(XenbusSide)
    case fail(XenbusSide, XenbusEvent)
    case stop(XenbusSide)
    case violate(XenbusSide)
    case remove
    case request(XenbusEvent)
    case impatience(XenbusSide)

    var isFault: Bool {
      switch self {
      case .look, .act, .outcome, .deadline, .start, .backingBecomesReady: false
      case .kill, .fail, .stop, .violate, .remove, .request, .impatience: true
      }
    }
  }

  struct Broken: Error, CustomStringConvertible {
    var description: String
  }

  /// Both ends are where the toolstack wants them.
  var isSettled: Bool {
    if removal { return backend.state == .finished && frontend.state == .finished && backend.key == .closed && frontend.key == .closed }
    return backend.state == .connected && frontend.state == .connected && backend.key == .connected && frontend.key == .connected
      && mapped && granted && !orphaned
  }

  // MARK: What can happen next

  func choices() -> [Choice] {
    var choices: [Choice] = []
    add(backend, .backend, &choices)
    add(frontend, .frontend, &choices)
    if !backingIsReady { choices.append(.backingBecomesReady) }
    if faults.removal && !removal { choices.append(.remove) }
    if faults.requests > 0 {
      if frontend.isAlive { choices += [.request(.resumed), .request(.reconfigureRequested)] }
      if backend.isAlive { choices.append(.request(.capacityChanged)) }
    }
    return choices
  }

  private func add<State>(_ end: End<State>, _ side: XenbusSide, _ choices: inout [Choice]) {
    let isFinished = State.table[end.state].rules.isEmpty
    if !end.isAlive || (isFinished && end.actions.isEmpty && !removal) { choices.append(.start(side)) }
    guard end.isAlive else { return }
    if (side == .backend ? faults.backendKills : faults.frontendKills) > 0 { choices.append(.kill(side)) }
    if faults.stops > 0 && !end.stop && !isFinished { choices.append(.stop(side)) }
    if !end.actions.isEmpty {
      choices.append(.act(side))
      return
    }
    if end.isAwake && !isFinished { choices.append(.look(side)) }
    if let deadline = State.table[end.state].deadline {
      if deadline == .retry { choices.append(.deadline(side)) } else if faults.deadlines { choices.append(.impatience(side)) }
    }
    if faults.violations > 0 && mapped && !end.violation { choices.append(.violate(side)) }
    if let operation = end.operation { addOutcomes(of: operation, end.isCancelled, end.key, side, &choices) }
  }

  private func addOutcomes(
    of operation: XenbusAction, _ isCancelled: Bool, _ key: XenbusState, _ side: XenbusSide, _ choices: inout [Choice]
  ) {
    switch operation {
    case .inspect: choices.append(.outcome(side, key == .initialising ? .foundFresh : .foundStale))
    case .quiesce:
      // Requests are under way, and only a back-end that serves answers them.
      if isCancelled || (backend.isAlive && mapped) || frontend.violation { choices.append(.outcome(side, .quiesced)) }
    case .connect where side == .backend && !mapped: choices.append(.outcome(side, .connectFailed))
    default:
      choices.append(.outcome(side, operation.outcomes[0]))
      guard operation.outcomes.count == 2 else { return }
      if isCancelled {
        choices.append(.outcome(side, operation.outcomes[1]))
      } else if faults.failures > 0 && operation != .advertise {
        choices.append(.fail(side, operation.outcomes[1]))
      }
    }
  }

  // MARK: Doing it

  mutating func take(_ choice: Choice) throws {
    switch choice {
    case .look(.backend): try look(\.backend, peerKey: frontend.key)
    case .look(.frontend): try look(\.frontend, peerKey: backend.key)
    case .act(.backend): try act(\.backend)
    case .act(.frontend): try act(\.frontend)
    case .outcome(.backend, let event): try finish(\.backend, event)
    case .outcome(.frontend, let event): try finish(\.frontend, event)
    case .fail(.backend, let event):
      faults.failures -= 1
      try finish(\.backend, event)
    case .fail(.frontend, let event):
      faults.failures -= 1
      try finish(\.frontend, event)
    case .deadline(.backend), .impatience(.backend): try react(\.backend, .deadlinePassed)
    case .deadline(.frontend), .impatience(.frontend): try react(\.frontend, .deadlinePassed)
    case .start(.backend):
      let key = backend.key
      backend = End(start: .starting)
      backend.key = key
      backend.isAlive = true
      backend.operation = .inspect
    case .start(.frontend):
      let key = frontend.key
      frontend = End(start: .starting)
      frontend.key = key
      frontend.isAlive = true
      frontend.operation = .inspect
    case .backingBecomesReady:
      backingIsReady = true
      backend.isAwake = true
    case .kill(.backend): killBackend()
    case .kill(.frontend): killFrontend()
    case .stop(.backend):
      faults.stops -= 1
      backend.stop = true
      backend.isAwake = true
    case .stop(.frontend):
      faults.stops -= 1
      frontend.stop = true
      frontend.isAwake = true
    case .violate(.backend):
      faults.violations -= 1
      backend.violation = true
      backend.isAwake = true
    case .violate(.frontend):
      faults.violations -= 1
      frontend.violation = true
      frontend.isAwake = true
    case .remove:
      removal = true
      backend.isAwake = true
      frontend.isAwake = true
    case .request(let event):
      faults.requests -= 1
      switch event {
      case .resumed: frontend.resumed = true
      case .reconfigureRequested: frontend.reconfigure = true
      default: backend.capacity = true
      }
      frontend.isAwake = true
      backend.isAwake = true
    }
  }

  /// The kernel unmaps; the platform tells the front-end if it was bound to the event channel.
  private mutating func killBackend() {
    faults.backendKills -= 1
    let key = backend.key
    backend = End(start: .starting)
    backend.key = key
    if mapped && FrontendState.table[frontend.state].holdsConnection {
      frontend.vanished = true
      frontend.isAwake = true
    }
    mapped = false
    orphaned = false
  }

  private mutating func killFrontend() {
    faults.frontendKills -= 1
    let key = frontend.key
    frontend = End(start: .starting)
    frontend.key = key
    granted = false
    if mapped {
      orphaned = true
      backend.vanished = true
      backend.isAwake = true
    }
  }

  /// As `XenbusRunner.nextEvent`: the most urgent condition that leads somewhere, or sleep.
  private mutating func look<State>(_ end: WritableKeyPath<Self, End<State>>, peerKey: XenbusState) throws {
    for event in XenbusEvent.conditions where holds(event, self[keyPath: end], peerKey) {
      if case .step = State.table.reaction(to: event, in: self[keyPath: end].state) {
        return try react(end, event)
      }
    }
    self[keyPath: end].isAwake = false
  }

  private func holds<State>(_ condition: XenbusEvent, _ end: End<State>, _ peerKey: XenbusState) -> Bool {
    switch condition {
    case .removeRequested: removal
    case .stopRequested: end.stop
    case .peerVanished: end.vanished
    case .peerViolation: end.violation
    case .peer(let state): state == peerKey
    case .peerRepeated: end.repeated && peerKey == .connected
    case .resumed: end.resumed
    case .reconfigureRequested: end.reconfigure
    case .backingReady: backingIsReady
    case .capacityChanged: end.capacity
    default: false
    }
  }

  private mutating func finish<State>(_ end: WritableKeyPath<Self, End<State>>, _ event: XenbusEvent) throws {
    self[keyPath: end].operation = nil
    self[keyPath: end].isCancelled = false
    if event == .drained && State.side == .backend {
      mapped = false
      orphaned = false
    }
    try react(end, event)
  }

  private mutating func react<State>(_ end: WritableKeyPath<Self, End<State>>, _ event: XenbusEvent) throws {
    let state = self[keyPath: end].state
    guard case .step(let rule) = State.table.reaction(to: event, in: state) else {
      throw Broken(description: "\(State.side.rawValue): \(event) has no meaning in \(state.rawValue)")
    }
    self[keyPath: end].state = rule.next
    self[keyPath: end].actions = rule.actions
    self[keyPath: end].isAwake = true
    if !State.table[rule.next].holdsConnection {
      self[keyPath: end].vanished = false
      self[keyPath: end].violation = false
      self[keyPath: end].repeated = false
      self[keyPath: end].reconfigure = false
    }
  }

  private mutating func act<State>(_ end: WritableKeyPath<Self, End<State>>) throws {
    let action = self[keyPath: end].actions.removeFirst()
    switch action {
    case .publish(let state):
      if state == .reconfiguring { self[keyPath: end].reconfigure = false }
      guard self[keyPath: end].key != state else { return }
      self[keyPath: end].key = state
      wakePeer(of: State.side)
    case .republish:
      self[keyPath: end].capacity = false
      frontend.repeated = true
      wakePeer(of: State.side)
    case .cancel: self[keyPath: end].isCancelled = self[keyPath: end].operation != nil
    case .locatePeer: self[keyPath: end].resumed = false
    case .reportError, .clearError: break
    case .inspect, .advertise, .prepare, .connect, .refresh, .reconfigure, .quiesce, .disconnect:
      if let under = self[keyPath: end].operation {
        throw Broken(description: "\(State.side.rawValue) begins to \(action) while it \(under)s")
      }
      self[keyPath: end].operation = action
      if action == .refresh || action == .connect { self[keyPath: end].repeated = false }
      try begin(action, State.side)
    }
  }

  private mutating func begin(_ action: XenbusAction, _ side: XenbusSide) throws {
    switch (action, side) {
    case (.prepare, _):
      if granted { throw Broken(description: "the front-end grants rings that are granted") }
      granted = true
    case (.disconnect, .frontend):
      if mapped && !orphaned && !faults.deadlines { throw Broken(description: "the front-end frees pages that are mapped") }
      // Freed under a slow back-end: the platform quarantines the pages; the mapping is an orphan from here on.
      orphaned = mapped
      granted = false
    case (.connect, .backend):
      if mapped { throw Broken(description: "the back-end connects twice") }
      mapped = granted
    default: break
    }
  }

  private mutating func wakePeer(of side: XenbusSide) {
    switch side {
    case .backend: frontend.isAwake = true
    case .frontend: backend.isAwake = true
    }
  }
}
