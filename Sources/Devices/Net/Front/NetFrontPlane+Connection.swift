import EventLoop
import NetPackets
import PVDriver
import SharedMemory
import SharedRing

/// Connecting and disconnecting: what the store half calls.
extension NetFrontPlane {
  /// Takes a new connection over. Its rings may be shown to the back-end then; pages are posted at once.
  func prepare(_ connection: NetFrontConnection) {
    precondition(self.connection == nil, "a second connection")
    self.connection = connection
    table.value = FixedObjects(count: connection.queues.count) { connection.queues[$0] }
    for queue in connection.queues {
      queue.postPages()
      queue.state.value.hasPostedPages = false
      _ = queue.receiveRing.value.publishRequests()
    }
  }

  /// The back-end is connected: frames are sent and taken from now on.
  func start(_ link: NetFrontLink) {
    guard let connection, phase == .disconnected else { return }
    phase = .connected
    queues = connection.queues
    state.value.capabilities = connection.capabilities
    beginControl()
    reporter.connected(link)
    client?.linkChanged(isUp: link.isUp)
    for queue in queues { client?.transmitReady(queue: queue.index) }
  }

  /// The back-end says something else of the link now.
  func change(_ link: NetFrontLink) {
    guard phase == .connected, link != reporter.status.link else { return }
    reporter.changed(link)
    client?.linkChanged(isUp: link.isUp)
  }

  /// Stops sending; `done` is called when every frame that was sent is answered, or no answer will come.
  public func quiesce(_ done: @escaping () -> Void) {
    guard phase == .connected else { return done() }
    phase = .quiescing
    client?.linkChanged(isUp: false)
    quiesced = done
    finishQuiescing()
  }

  func finishQuiescing() {
    guard quiesced != nil, queues.allSatisfy({ $0.transmitsInFlight == 0 }) else { return }
    quiesced.take()?()
  }

  /// Ends a ``quiesce(_:)`` that nobody wants to wait for any more.
  public func abandonQuiescing() { quiesced.take()?() }

  /// The back-end closed its end of an event channel: its process is gone, or it was told to let go. What was sent and not answered is
  /// lost, as frames may be. False when that was to be expected, because we had stopped.
  public func backendVanished(_ reason: String) -> Bool {
    switch phase {
    case .quiescing where queues.allSatisfy { $0.transmitsInFlight == 0 }: return false
    case .connected, .quiescing:
      stopUsing()
      reporter.lost(reason)
    case .disconnected, .severed, .closed: break
    }
    return true
  }

  /// The back-end broke a rule.
  func sever(_ fault: NetFrontFault, _ queue: NetFrontQueue) {
    queue.state.value.fault = fault
    guard phase == .connected || phase == .quiescing else { return }
    stopUsing()
    reporter.broken(fault)
    onFault?(fault)
  }

  private func stopUsing() {
    let wasConnected = phase == .connected
    phase = .severed
    queues = []
    state.value.capabilities = []
    // Whoever waits for room finds out that there will be none.
    if wasConnected { client?.linkChanged(isUp: false) }
    quiesced.take()?()
  }

  /// Gives rings, grants and ports back, once nobody holds a frame any more. `done` gets the number of pages that the back-end still
  /// had mapped.
  public func disconnect(_ done: @escaping (_ stillMapped: Int) -> Void) {
    guard connection != nil else { return done(0) }
    precondition(disconnected == nil, "disconnected twice at a time")
    let wasConnected = phase == .connected
    if wasConnected || phase == .quiescing { reporter.disconnected() }
    if phase != .closed { phase = .disconnected }
    queues = []
    state.value.capabilities = []
    if wasConnected { client?.linkChanged(isUp: false) }
    disconnected = done
    quiesced.take()?()
    finishDisconnecting()
  }

  func finishDisconnecting() {
    guard let connection, connection.heldCount == 0, let done = disconnected.take() else { return }
    connection.closeChannels { [self] in
      self.connection = nil
      table.value = FixedObjects(count: 0) { _ in preconditionFailure("no queue") }
      let stillMapped = connection.arenas.revoke()
      state.value.counters.quarantinedPages &+= UInt64(stillMapped)
      done(stillMapped)
    }
  }

  /// Takes nothing any more. ``disconnect(_:)`` first.
  public func close() {
    guard phase != .closed else { return }
    phase = .closed
    reporter.closed()
  }
}
