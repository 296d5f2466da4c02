import Logging
import Synchronization
import XenInterface

/// Runs one end's table against the store: one transition at a time (XSA-350), one operation of the driver at a time,
/// at most one pending look a watch (XSA-349).
actor XenbusRunner<State: XenbusEndState> {
  /// Performs one operation of the driver.
  typealias Hook = @Sendable (_ operation: XenbusAction, _ peer: XenbusDirectory) async throws -> XenbusKeyChanges
  /// Tells whether the back-end's backing is there.
  typealias Backing = @Sendable (_ own: XenbusDirectory) async -> XenbusBacking

  private let paths: XenbusDevicePaths
  private let store: any XenbusStore
  private let notices: XenbusNotices
  private let timeouts: XenbusTimeouts
  private let logger: Logger
  private let hook: Hook
  private let backing: Backing
  /// Whether a connection that a process before us left can be taken up.
  private let adoptsConnections: Bool
  private let clock = ContinuousClock()

  private var state: State
  private var published = XenbusState.unknown
  private var since: ContinuousClock.Instant
  private var connectionCount: UInt64 = 0
  private var failure: String?
  private var failureCount = 0

  private var peerPath: String?
  private var peerState = XenbusState.unknown
  private var peerDomainWasSeen = false
  private var pendingChanges = XenbusKeyChanges()
  private var operation: Task<Void, Never>?
  private var watches: [Task<Void, Never>] = []
  private var peerWatch: Task<Void, Never>?
  private var alarm: Task<Void, Never>?
  private var alarmNumber: UInt64 = 0
  private var lastWarning: ContinuousClock.Instant?

  private var side: XenbusSide { State.side }
  private var ownPath: String { paths.directory(of: side) }

  init(
    start: State, paths: XenbusDevicePaths, store: any XenbusStore, notices: XenbusNotices, timeouts: XenbusTimeouts, logger: Logger,
    adoptsConnections: Bool = false, hook: @escaping Hook, backing: @escaping Backing
  ) {
    state = start
    self.paths = paths
    self.store = store
    self.notices = notices
    self.timeouts = timeouts
    self.logger = logger
    self.hook = hook
    self.backing = backing
    self.adoptsConnections = adoptsConnections
    since = ContinuousClock().now
  }

  var status: XenbusStatus {
    XenbusStatus(
      side: side, state: state.rawValue, published: published, peer: peerState, since: since, connectionCount: connectionCount,
      failure: failure)
  }

  // MARK: The life

  func run() async throws -> XenbusEnding {
    defer { stopWatching() }
    do {
      return try await live()
    } catch {
      // The store is gone or the device never was: what the driver holds is still to be given back.
      operation?.cancel()
      await operation?.value
      if State.table[state].holdsConnection { _ = try? await hook(.disconnect, unreadPeer) }
      throw error
    }
  }

  private func live() async throws -> XenbusEnding {
    var wakeUps = notices.wakeUps.makeAsyncIterator()
    watches.append(try await watch(ownPath) { _ in })
    if let released = try? await watch("@releaseDomain", { $0.domainsTouched = true }) { watches.append(released) }
    try await perform([.inspect])
    while true {
      if let event = try await nextEvent() {
        try await take(event)
      } else if State.table[state].rules.isEmpty {
        return ending()
      } else {
        await wakeUps.next(isolation: #isolation)
        try Task.checkCancellation()
      }
    }
  }

  private func ending() -> XenbusEnding {
    let pending = notices.pending.withLock { $0 }
    if let failure, !pending.stop, !pending.leave, !pending.removed, !pending.domainReleased { return .failed(failure) }
    if pending.removed { return .removed }
    return pending.stop || pending.leave ? .stopped : .domainReleased
  }

  // MARK: Looking

  /// The next event that leads somewhere: an outcome if there is one, else the most urgent condition; nil to sleep.
  private func nextEvent() async throws -> XenbusEvent? {
    if let event = takeOutcome() { return event }
    guard !State.table[state].rules.isEmpty else { return nil }
    try await look()
    for event in XenbusEvent.conditions where await holds(event) {
      if case .step = State.table.reaction(to: event, in: state) { return event }
    }
    return nil
  }

  private func takeOutcome() -> XenbusEvent? {
    let (outcome, alarm) = notices.pending.withLock { pending in
      let found = (pending.outcome, pending.deadline)
      pending.outcome = nil
      pending.deadline = nil
      return found
    }
    if let outcome {
      operation = nil
      pendingChanges = outcome.changes
      if let text = outcome.failure { failure = text }
      return outcome.event
    }
    // An alarm that a later state has overtaken is not ours any more.
    return alarm == alarmNumber && State.table[state].deadline != nil ? .deadlinePassed : nil
  }

  /// Reads what the conditions are made of: the peer's state, our own directory, the peer's domain.
  private func look() async throws {
    let (touched, domainsTouched, lost) = notices.pending.withLock { pending in
      let found = (pending.peerTouched, pending.domainsTouched, pending.lostWatch)
      pending.peerTouched = false
      pending.domainsTouched = false
      return found
    }
    if let lost { throw XenbusError.storeLost(lost) }
    let (ownPath, backendPath, peerPath) = (ownPath, side == .backend ? self.ownPath : self.peerPath, peerPath)
    let own = try await store.read(ownPath + "/state")
    var online: String?
    if let backendPath { online = try await store.read(backendPath + "/online") }
    var peer: String?
    if let peerPath { peer = try await store.read(peerPath + "/state") }
    let peerNow = XenbusState(storeValue: peer)
    if touched && peerNow == peerState { notices.pending.withLock { $0.repeated = true } }
    peerState = peerNow
    if own == nil || online == "0" { notices.pending.withLock { $0.removed = true } }
    if domainsTouched {
      // A domain that was never known to the store cannot be released: its toolstack does not introduce domains.
      let exists = await store.domainExists(paths.domain(of: side.peer))
      if peerDomainWasSeen && !exists { notices.pending.withLock { $0.domainReleased = true } }
      peerDomainWasSeen = peerDomainWasSeen || exists
    }
  }

  private func holds(_ condition: XenbusEvent) async -> Bool {
    let pending = notices.pending.withLock { $0 }
    return switch condition {
    case .removeRequested: pending.removed
    case .stopRequested: pending.stop
    case .leaveRequested: pending.leave
    case .domainReleased: pending.domainReleased
    case .peerVanished: pending.vanished
    case .peerViolation: pending.violation != nil
    case .peer(let state): state == peerState
    case .peerRepeated: pending.repeated && peerState == .connected
    case .resumed: pending.resumed
    case .reconfigureRequested: pending.reconfiguration != nil
    case .backingReady: await backingIsReady()
    case .capacityChanged: pending.changedKeys != nil
    default: false
    }
  }

  private func backingIsReady() async -> Bool {
    // Asked only where the answer matters: it costs a read of the whole directory.
    guard case .step = State.table.reaction(to: .backingReady, in: state) else { return false }
    guard let own = try? await directory(of: side, at: ownPath) else { return false }
    return await backing(own) == .ready
  }

  // MARK: Acting

  private func take(_ event: XenbusEvent) async throws {
    guard case .step(let rule) = State.table.reaction(to: event, in: state) else {
      preconditionFailure("\(side.rawValue) of \(paths): \(event) in \(state.rawValue)")
    }
    if rule.next != state {
      logger.debug("\(side.rawValue) of \(paths): \(event): \(state.rawValue) to \(rule.next.rawValue)")
      since = clock.now
      enter(rule.next)
    }
    if rule.actions.contains(.reportError) { explain(event) }
    try await perform(rule.actions)
  }

  private func enter(_ next: State) {
    state = next
    let row = State.table[next]
    if !row.holdsConnection {
      // What was said about a connection ends with it.
      notices.pending.withLock { pending in
        pending.vanished = false
        pending.violation = nil
        pending.repeated = false
        pending.reconfiguration = nil
      }
    }
    if row.reads == .connected && published != .connected {
      connectionCount += 1
      failureCount = 0
    }
    setAlarm(row.deadline)
  }

  /// Words for a failure whose event has none of its own.
  private func explain(_ event: XenbusEvent) {
    failureCount += 1
    switch event {
    case .peerViolation: failure = notices.pending.withLock { $0.violation } ?? failure
    case .peerVanished: failure = "the \(side.peer.rawValue)'s process died"
    case .domainReleased: failure = "the \(side.peer.rawValue)'s domain is gone"
    case .peer(let state): failure = "the \(side.peer.rawValue) went to \(state) while in use"
    default: break
    }
  }

  private func perform(_ actions: [XenbusAction]) async throws {
    for action in actions {
      switch action {
      case .inspect: try await inspect()
      case .locatePeer: try await locatePeer()
      case .publish(let newState): try await publish(newState)
      case .republish: try await republish()
      case .reportError: try await reportError()
      case .clearError:
        failure = nil
        let path = paths.error(of: side)
        try await store.transaction { transaction in
          if try await transaction.read(path) != nil { try await transaction.remove(path) }
        }
      case .cancel: operation?.cancel()
      case .advertise, .prepare, .connect, .refresh, .reconfigure, .quiesce, .disconnect: begin(action)
      }
    }
  }

  private func inspect() async throws {
    guard let own = try await store.read(ownPath + "/state") else {
      throw XenbusError.deviceMissing(side: side, directory: ownPath)
    }
    try await locatePeer()
    published = XenbusState(storeValue: own)
    let event: XenbusEvent =
      switch published {
      case .initialising, .unknown: .foundFresh
      case .connected where adoptsConnections: try await peerIsConnected() ? .foundLive : .foundStale
      default: .foundStale
      }
    notices.raise { $0.outcome = XenbusHookOutcome(event: event) }
  }

  private func peerIsConnected() async throws -> Bool {
    guard let peerPath else { return false }
    return XenbusState(storeValue: try await store.read(peerPath + "/state")) == .connected
  }

  /// Takes the peer's place from the own directory, which the toolstack wrote; never from the peer's (XSA-175).
  private func locatePeer() async throws {
    let key = side.peer == .backend ? "backend" : "frontend"
    let path = ownPath
    let (value, domain, isThere) = try await store.transaction { transaction in
      (
        try await transaction.read(path + "/" + key), try await transaction.read(path + "/" + key + "-id"),
        try await transaction.read(path + "/state") != nil
      )
    }
    // The toolstack may have taken the directory away since we looked: that is a removal, and no mistake of anybody.
    guard isThere else { return notices.pending.withLock { $0.removed = true } }
    let home = "/local/domain/\(paths.domain(of: side.peer))/"
    guard domain == "\(paths.domain(of: side.peer))" else {
      throw XenbusError.peerUnknown(side: side, directory: path, key: key + "-id", value: domain)
    }
    guard let value, value.hasPrefix(home), !value.hasSuffix("/"), !value.contains("//") else {
      throw XenbusError.peerUnknown(side: side, directory: path, key: key, value: value)
    }
    notices.pending.withLock { $0.resumed = false }
    guard value != peerPath else { return }
    peerPath = value
    peerWatch?.cancel()
    peerWatch = try await watch(value + "/state") { $0.peerTouched = true }
    if side == .frontend { watches.append(try await watch(value + "/online") { _ in }) }
  }

  /// Reads before it writes, so that a directory that was removed does not come back; writes nothing that is there.
  private func publish(_ newState: XenbusState) async throws {
    var changes = pendingChanges
    pendingChanges = XenbusKeyChanges()
    if newState == .reconfiguring {
      changes.written.merge(notices.pending.withLock { $0.reconfiguration.take() } ?? [:]) { _, new in new }
    }
    published = newState
    try await write(newState, changes, evenIfUnchanged: false)
  }

  private func republish() async throws {
    let keys = notices.pending.withLock { $0.changedKeys.take() } ?? [:]
    try await write(published, XenbusKeyChanges(written: keys), evenIfUnchanged: true)
  }

  private func write(_ newState: XenbusState, _ changes: XenbusKeyChanges, evenIfUnchanged: Bool) async throws {
    let path = ownPath
    let found = try await store.transaction { transaction -> Bool in
      guard let current = try await transaction.read(path + "/state") else { return false }
      for (key, value) in changes.written.sorted(by: { $0.key < $1.key }) { try await transaction.write(path + "/" + key, value) }
      for key in changes.removed { try await transaction.remove(path + "/" + key) }
      if evenIfUnchanged || current != String(newState.rawValue) {
        try await transaction.write(path + "/" + XenbusDiagnosis.sinceKey, String(XenbusDiagnosis.currentTime()))
        try await transaction.write(path + "/state", String(newState.rawValue))
      }
      return true
    }
    if !found { notices.pending.withLock { $0.removed = true } }
  }

  private func reportError() async throws {
    let text = failure ?? "unknown reason"
    warn(text)
    let path = paths.error(of: side)
    try await store.transaction { try await $0.write(path, XenbusErrorNode.value(text)) }
  }

  /// A peer can make us fail as often as it likes, but not fill the log (XSA-43): one line a second.
  private func warn(_ text: String) {
    let now = clock.now
    if let lastWarning, now - lastWarning < .seconds(1) { return }
    lastWarning = now
    logger.warning("\(side.rawValue) of \(paths): \(text)")
  }

  private func begin(_ action: XenbusAction) {
    precondition(operation == nil, "a second operation of the driver")
    if action == .connect { notices.pending.withLock { $0.repeated = false } }
    if action == .refresh { notices.pending.withLock { $0.repeated = false } }
    let (hook, notices) = (hook, notices)
    operation = Task {
      let outcome: XenbusHookOutcome
      do {
        let changes = try await hook(action, self.peerDirectory(for: action))
        outcome = XenbusHookOutcome(event: action.outcomes[0], changes: changes)
      } catch {
        outcome = XenbusHookOutcome(event: action.outcomes.last ?? action.outcomes[0], failure: "\(error)")
      }
      notices.raise { $0.outcome = outcome }
    }
  }

  // MARK: Reading directories

  /// The peer's directory for an operation that negotiates; an empty one for an operation that only ends things.
  private func peerDirectory(for action: XenbusAction) async throws -> XenbusDirectory {
    switch action {
    case .prepare, .connect, .refresh, .reconfigure: try await directory(of: side.peer, at: peerPath ?? unreadPeer.path)
    default: unreadPeer
    }
  }

  private var unreadPeer: XenbusDirectory {
    XenbusDirectory(
      side: side.peer, path: peerPath ?? paths.directory(of: side.peer), domain: paths.domain(of: side.peer), values: [:])
  }

  private func directory(of side: XenbusSide, at path: String) async throws -> XenbusDirectory {
    let domain = paths.domain(of: side)
    return try await store.transaction { try await $0.directory(side: side, path: path, domain: domain) }
  }

  // MARK: Waking up

  private func watch(_ path: String, _ mark: @escaping @Sendable (inout XenbusNotices.Pending) -> Void) async throws -> Task<Void, Never> {
    let firings = try await store.watch(path)
    let notices = notices
    return Task {
      for await _ in firings { notices.raise(mark) }
      if !Task.isCancelled { notices.raise { $0.lostWatch = path } }
    }
  }

  private func setAlarm(_ deadline: XenbusDeadline?) {
    alarm?.cancel()
    alarmNumber += 1
    alarm = nil
    guard let deadline else { return }
    let (notices, number, clock) = (notices, alarmNumber, clock)
    let duration = timeouts.duration(of: deadline, failures: failureCount)
    alarm = Task {
      guard (try? await clock.sleep(for: duration)) != nil else { return }
      notices.raise { $0.deadline = number }
    }
  }

  private func stopWatching() {
    for watch in watches { watch.cancel() }
    peerWatch?.cancel()
    alarm?.cancel()
  }
}
