import Synchronization
import XenInterface
import XenStoreWire

/// Losing the connection, and getting another one.
///
/// What waits for a reply is answered or, when repeating it does no harm, held; new requests are held behind it. A new connection gets
/// the watches first, each of which begins with an event once more, then what was held, then new requests.
extension XenStoreClient {
  /// The connection with number `epoch` has ended.
  func lose(epoch: UInt64) {
    var due: [Due] = []
    var alarm: RequestTimer.Alarm?
    let transport: (any XenStoreTransport)? = state.withLock { state in
      guard state.epoch == epoch, let transport = state.link.transport else { return nil }
      if reconnects {
        state.link = .disconnected
        due = state.holdWhatIsRepeatable(for: configuration.connectionWaitLimit)
        alarm = state.timer.alarm(for: state.waiting.values)
        state.announce(.reconnecting)
      } else {
        state.link = .closed
        due = state.endEverything()
        state.announce(.closed)
      }
      return transport
    }
    guard let transport else { return }
    transport.close()
    carryOut(due)
    if let alarm { start(alarm) }
    if reconnects { connectAgain() } else { finishListeners() }
  }

  func breakConnection(epoch: UInt64) { lose(epoch: epoch) }

  /// Closes the client for good.
  func shutDown() {
    let (transport, due): ((any XenStoreTransport)?, [Due]) = state.withLock { state in
      if case .closed = state.link { return (nil, []) }
      defer {
        state.link = .closed
        state.announce(.closed)
      }
      return (state.link.transport, state.endEverything())
    }
    transport?.close()
    carryOut(due)
    finishListeners()
  }

  // MARK: Another connection

  private func connectAgain() {
    Task.detached { [weak self] in
      while let delay = self?.nextAttempt() {
        if delay > .zero { try? await Task.sleep(for: delay) }
        if self?.attemptToConnect() != false { return }
      }
    }
  }

  /// How long to wait before the next attempt; nil when there is to be none.
  private func nextAttempt() -> Duration? {
    let delay: Duration?? = state.withLock { state in
      guard case .disconnected = state.link else { return .some(nil) }
      let isOver =
        switch configuration.reconnect {
        case .never: true
        case .backOff(let limit): limit.map { state.attempts.duration > $0 } ?? false
        }
      if isOver { return nil }
      return configuration.reconnectBackOff.delay(beforeRetry: state.attempts.next())
    }
    guard let delay else {
      shutDown()
      return nil
    }
    return delay
  }

  /// Whether no further attempt is needed.
  private func attemptToConnect() -> Bool {
    guard let connector, let transport = try? connector() else { return false }
    restore(transport)
    return true
  }

  private func restore(_ transport: any XenStoreTransport) {
    let started: (epoch: UInt64, watches: [UInt8])? = state.withLock { state in
      guard case .disconnected = state.link else { return nil }
      state.link = .restoring(transport)
      state.epoch += 1
      state.parser = XenStorePacketParser()
      return (state.epoch, state.registerWatchesAgain())
    }
    guard let (epoch, watches) = started else { return transport.close() }
    start(transport, epoch: epoch)
    var bytes: [UInt8]? = watches
    while let packets = bytes {
      if !packets.isEmpty { send(packets, on: transport, epoch: epoch) }
      bytes = state.withLock { $0.takeHeldPackets(epoch: epoch, transport) }
    }
  }
}

/// Attempts to connect since the store last said something.
struct ReconnectAttempts {
  private var count = 0
  private var since: ContinuousClock.Instant?

  var duration: Duration { since.map { $0.duration(to: .now) } ?? .zero }

  mutating func next() -> Int {
    count += 1
    since = since ?? .now
    return count
  }

  mutating func reset() {
    count = 0
    since = nil
  }
}

extension XenStoreClient.State {
  /// Keeps what may be sent again, before what was held already; the rest is answered.
  mutating func holdWhatIsRepeatable(for limit: Duration) -> [Due] {
    var due: [Due] = []
    var repeated: [HeldPacket] = []
    for (id, request) in waiting.sorted(by: { $0.key < $1.key }) where request.isSent {
      if let packet = request.packet, !request.isAbandoned {
        waiting[id]?.isSent = false
        waiting[id]?.connectionDeadline = .now + limit
        repeated.append(HeldPacket(requestID: id, bytes: packet))
      } else {
        waiting[id] = nil
        due.append(.answer(request, .failure(request.loss(reconnects: true))))
      }
    }
    abandonedCount = 0
    // What undoes something of the lost connection has nothing to undo.
    held = repeated + held.filter { $0.requestID != nil }
    return due
  }

  mutating func registerWatchesAgain() -> [UInt8] {
    var bytes: [UInt8] = []
    for (token, watch) in watches where watch.isAccepted {
      let id = newRequestID()
      var request = WaitingRequest(type: .watch, path: watch.path, transactionID: 0, receiver: .watch(token: token, watch.events))
      request.isSent = true
      waiting[id] = request
      bytes += XenStorePacket(.watch, requestID: id, strings: [watch.path, token]).encoded
    }
    return bytes
  }

  /// What is to be sent next on a new connection; nil when that was all, and new requests go straight to it.
  mutating func takeHeldPackets(epoch: UInt64, _ transport: any XenStoreTransport) -> [UInt8]? {
    guard self.epoch == epoch, case .restoring = link else { return nil }
    if held.isEmpty {
      link = .connected(transport)
      announce(.connected)
      return nil
    }
    var bytes: [UInt8] = []
    for packet in held {
      if let id = packet.requestID {
        waiting[id]?.isSent = true
        waiting[id]?.connectionDeadline = nil
      }
      bytes += packet.bytes
    }
    held = []
    return bytes
  }

  /// Nothing will be sent or come any more.
  mutating func endEverything() -> [Due] {
    defer {
      waiting = [:]
      abandonedCount = 0
      held = []
      watches = [:]
    }
    return waiting.values.map { .answer($0, .failure(.connectionLost)) } + watches.values.map { .end($0.events) }
  }
}
