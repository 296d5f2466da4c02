import EventLoop
import LinuxSystem

/// Connecting and disconnecting: what the store half calls.
extension RequestRingFrontPlane {
  /// Takes a new connection over. Its ring may be shown to the back-end then; nothing is sent before ``start(_:)``.
  func prepare(_ connection: RequestRingFrontConnection<Interface>) {
    precondition(self.connection == nil, "a second connection")
    self.connection = connection
    // The event only wakes the loop; the ring is served in its turn, and the channel re-armed there.
    connection.loopChannel = LoopEventChannel(connection.channel, loop: loop) {}
  }

  /// The back-end is connected: calls are sent from now on.
  func start(_ features: Interface.Features) {
    guard connection != nil, phase == .disconnected else { return }
    self.features = features
    phase = .connected
    deadlineTimer?.cancel()
    deadlineTimer = nil
    dispatch()
    reporter.connected()
  }

  /// Stops sending; `done` is called when every request is answered, or no answer will come.
  func quiesce(_ done: @escaping () -> Void) {
    guard phase == .connected, let connection, connection.inFlightCount > 0 else {
      if phase == .connected { phase = .quiescing }
      return done()
    }
    phase = .quiescing
    quiesced = done
  }

  /// Ends a ``quiesce(_:)`` that nobody wants to wait for any more.
  func abandonQuiescing() { quiesced.take()?() }

  /// The back-end closed its end of the event channel: its process is gone, or it was told to let go. False when that was to be
  /// expected, because we had stopped.
  func backendVanished(_ reason: String) -> Bool {
    switch phase {
    case .quiescing where connection?.inFlightCount == 0: return false
    case .connected, .quiescing: sever(.backendLost(reason))
    case .disconnected, .severed, .closed: break
    }
    return true
  }

  /// Stops touching the ring. What is in flight waits for the next back-end if it can be done twice, and fails otherwise; all
  /// fails when the back-end broke a rule.
  func sever(_ failure: RequestRingError) {
    guard phase == .connected || phase == .quiescing, let connection else { return }
    phase = .severed
    disconnectedSince = MonotonicClock.nowNanoseconds
    let inFlight = connection.takeCalls()
    if case .broken(let fault) = failure {
      reporter.broken(fault)
      for call in inFlight { call.complete(.failure(failure)) }
      failWaiting(failure)
      onFault?(fault)
    } else {
      reporter.lost(failure.description)
      keepOrFail(inFlight, failure)
    }
    armDeadline()
    quiesced.take()?()
  }

  private func keepOrFail(_ calls: [Call], _ failure: RequestRingError) {
    guard Interface.isRepeatable else { return calls.forEach { $0.complete(.failure(failure)) } }
    // They were there first.
    waiting = calls + waiting[firstWaiting...]
    firstWaiting = 0
  }

  /// Gives ring, grants and port back. `done` gets the number of pages that the back-end still had mapped.
  func disconnect(_ done: @escaping (_ stillMapped: Int) -> Void) {
    guard let connection else { return done(0) }
    if phase == .connected || phase == .quiescing {
      let reason = "the connection was closed"
      if connection.inFlightCount > 0 { reporter.lost(reason) } else { reporter.disconnected() }
      keepOrFail(connection.takeCalls(), .backendLost(reason))
      disconnectedSince = MonotonicClock.nowNanoseconds
    }
    if phase != .closed { phase = .disconnected }
    armDeadline()
    self.connection = nil
    let finish = {
      connection.loopChannel = nil
      done(connection.revokeAll())
    }
    if let channel = connection.loopChannel { channel.close(finish) } else { finish() }
    quiesced.take()?()
  }

  /// Fails everything, now and from now on. ``disconnect(_:)`` first.
  func close() {
    guard phase != .closed else { return }
    phase = .closed
    deadlineTimer?.cancel()
    deadlineTimer = nil
    failWaiting(.closed)
    reporter.closed()
  }

  private func failWaiting(_ failure: RequestRingError) {
    let calls = waiting[firstWaiting...]
    waiting = []
    firstWaiting = 0
    for call in calls { call.complete(.failure(failure)) }
  }

  // MARK: Deadlines

  /// Sees to it that no call waits longer for a back-end than the configuration says. The calls are in order of time.
  func armDeadline() {
    guard phase != .connected, phase != .closed, deadlineTimer == nil, firstWaiting < waiting.count else { return }
    let (now, deadline) = (MonotonicClock.nowNanoseconds, deadline(of: waiting[firstWaiting]))
    deadlineTimer = loop.schedule(afterNanoseconds: deadline > now ? deadline - now : 0) { [weak self] in
      guard let self else { return }
      deadlineTimer = nil
      expire()
      armDeadline()
    }
  }

  private func deadline(of call: Call) -> UInt64 {
    max(call.waitingSince, disconnectedSince) + configuration.reconnectTimeoutNanoseconds
  }

  private func expire() {
    guard phase != .connected else { return }
    let now = MonotonicClock.nowNanoseconds
    while firstWaiting < waiting.count, deadline(of: waiting[firstWaiting]) <= now {
      let call = waiting[firstWaiting]
      firstWaiting += 1
      call.complete(.failure(.notConnected(waitedNanoseconds: configuration.reconnectTimeoutNanoseconds)))
    }
  }
}
