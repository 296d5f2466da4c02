import EventLoop
import LinuxSystem
import PVDriver
import XenInterface

/// Connecting and disconnecting: what the store half calls.
extension BlockFrontPlane {
  /// Takes a new connection over. Its rings may be shown to the back-end then; nothing is sent before ``start(_:)``.
  public func prepare(_ connection: BlockFrontConnection) {
    precondition(self.connection == nil, "a second connection")
    self.connection = connection
    for channel in connection.channels {
      // The event only wakes the loop; the queue is served in its turn, and the channel re-armed there.
      connection.loopChannels.append(LoopEventChannel(channel, loop: loop) {})
    }
  }

  /// The back-end is connected and says what the device is: operations run from now on.
  public func start(_ geometry: BlockFrontGeometry) {
    guard connection != nil, phase == .disconnected else { return }
    self.geometry = geometry
    phase = .connected
    requestsInFlight = 0
    deadlineTimer?.cancel()
    deadlineTimer = nil
    // Those with data come first: they were there first, and the new pool has room for all that the old one held.
    _ = serveBufferQueue()
    dispatchWaiting()
    reporter.connected(geometry)
  }

  /// The back-end says something else of the device now.
  public func change(_ geometry: BlockFrontGeometry) {
    guard geometry != self.geometry else { return }
    self.geometry = geometry
    reporter.changed(geometry)
  }

  /// Stops sending; `done` is called when every request is answered, or no answer will come.
  public func quiesce(_ done: @escaping () -> Void) {
    guard phase == .connected, requestsInFlight > 0 else {
      if phase == .connected { phase = .quiescing }
      return done()
    }
    phase = .quiescing
    quiesced = done
  }

  /// Ends a ``quiesce(_:)`` that nobody wants to wait for any more.
  public func abandonQuiescing() { quiesced.take()?() }

  /// The back-end closed its end of an event channel: its process is gone, or it was told to let go. Requests in flight fail,
  /// later ones wait for another back-end. False when that was to be expected, because we had stopped.
  @discardableResult
  public func backendVanished(_ reason: String) -> Bool {
    switch phase {
    case .quiescing where requestsInFlight == 0: return false
    case .connected, .quiescing: sever(.backendLost(reason))
    case .disconnected, .severed, .closed: break
    }
    return true
  }

  /// Stops touching the ring, and fails what is in flight; what was not sent yet fails too when the back-end broke a rule.
  func sever(_ failure: BlockFrontError) {
    guard phase == .connected || phase == .quiescing, let connection else { return }
    phase = .severed
    disconnectedSince = MonotonicClock.nowNanoseconds
    failInFlight(connection, failure)
    if case .broken(let fault) = failure {
      failWaiting(failure)
      reporter.broken(fault)
      onFault?(fault)
    } else {
      reporter.lost(failure.description)
    }
    armDeadline()
    quiesced.take()?()
  }

  /// Gives rings, grants and ports back. `done` gets the number of pages that the back-end still had mapped.
  public func disconnect(_ done: @escaping (_ stillMapped: Int) -> Void) {
    guard let connection else { return done(0) }
    if phase == .connected || phase == .quiescing {
      if requestsInFlight > 0 {
        reporter.lost("the connection was closed")
      } else {
        reporter.disconnected()
      }
      failInFlight(connection, .backendLost("the connection was closed"))
      disconnectedSince = MonotonicClock.nowNanoseconds
      armDeadline()
    }
    if phase != .closed { phase = .disconnected }
    self.connection = nil
    connection.loopChannels.close { [self] in
      let stillMapped = connection.pool.revokeAll()
      counters.quarantinedPages &+= UInt64(stillMapped)
      connection.loopChannels.removeAll()
      done(stillMapped)
    }
    quiesced.take()?()
  }

  /// Fails everything, now and from now on. ``disconnect(_:)`` first.
  public func close() {
    guard phase != .closed else { return }
    phase = .closed
    deadlineTimer?.cancel()
    deadlineTimer = nil
    failWaiting(.closed)
    _ = completeFinished()
    reporter.closed()
  }

  /// Fails what the back-end has not answered. What it has not been sent, or only parts of which it answered, runs again on
  /// the next connection: block operations can be repeated.
  private func failInFlight(_ connection: BlockFrontConnection, _ failure: BlockFrontError) {
    requestsInFlight = 0
    var kept = OperationList()
    while let operation = dispatchQueue.removeFirst() {
      if operation.requestsInFlight > 0 { continue }
      startOver(operation)
      kept.append(operation)
    }
    dispatchQueue = kept
    for slot in slots.indices {
      guard let operation = slots[slot] else { continue }
      operation.requestsInFlight = 0
      endLater(operation, operation.failure ?? failure)
    }
  }

  private func startOver(_ operation: BlockFrontOperation) {
    if case .dispatchingFlush = operation.phase { operation.isDurable = true }
    release(operation)
    operation.phase = .dispatching
    operation.dispatchedByteCount = 0
    operation.failure = nil
    operation.nextPage = operation.buffer?.firstPage ?? -1
  }

  private func failWaiting(_ failure: BlockFrontError) {
    var waiting = dispatchQueue.takeAll()
    while let operation = waiting.removeFirst() { endLater(operation, failure) }
    waiting = bufferQueue.takeAll()
    while let operation = waiting.removeFirst() { endLater(operation, failure) }
  }

  // MARK: Deadlines

  /// Sees to it that nobody waits longer for a back-end than the configuration says.
  func armDeadline() {
    guard phase != .connected, phase != .closed, deadlineTimer == nil, let deadline = nextDeadline else { return }
    let now = MonotonicClock.nowNanoseconds
    deadlineTimer = loop.schedule(afterNanoseconds: deadline > now ? deadline - now : 0) { [weak self] in
      guard let self else { return }
      deadlineTimer = nil
      expire(&dispatchQueue)
      expire(&bufferQueue)
      armDeadline()
    }
  }

  /// When the first one has waited long enough. Both lists are in order of time.
  private var nextDeadline: UInt64? {
    let waiting = [dispatchQueue.first, bufferQueue.first].compactMap { $0.map(deadline) }
    return waiting.min()
  }

  private func deadline(of operation: BlockFrontOperation) -> UInt64 {
    max(operation.waitingSince, disconnectedSince) + configuration.reconnectTimeoutNanoseconds
  }

  private func expire(_ list: inout OperationList) {
    let now = MonotonicClock.nowNanoseconds
    while let operation = list.first, deadline(of: operation) <= now {
      _ = list.removeFirst()
      endLater(operation, .notConnected(waitedNanoseconds: configuration.reconnectTimeoutNanoseconds))
    }
  }
}
