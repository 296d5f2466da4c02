import Synchronization
import XenInterface
import XenStoreWire

/// Replies find their requests, events their watches.
extension XenStoreClient {
  /// Takes bytes of connection `epoch`; those of an earlier one are dropped.
  func receive(_ bytes: [UInt8], epoch: UInt64) {
    var due: [Due] = []
    var isBroken = false
    state.withLock { state in
      guard state.epoch == epoch, state.link.transport != nil else { return }
      state.parser.feed(bytes)
      while true {
        switch state.parser.next() {
        case .needsMoreBytes: return
        case .violation:
          isBroken = true
          return
        case .packet(let packet):
          // A store that talks is there: the next loss begins anew.
          state.attempts.reset()
          if let one = XenStoreClient.take(packet, &state) { due.append(one) }
        }
      }
    }
    carryOut(due)
    if isBroken { breakConnection(epoch: epoch) }
  }

  private static func take(_ packet: XenStorePacket, _ state: inout State) -> Due? {
    if packet.type == .watchEvent {
      guard let strings = XenStorePayload.strings(packet.payload), strings.count == 2 else { return nil }
      let token = String(decoding: strings[1], as: UTF8.self)
      // Events of a watch that has just been ended may still be on their way.
      guard let watch = state.watches[token] else { return nil }
      return .event(watch.events, XenStoreWatchEvent(path: String(decoding: strings[0], as: UTF8.self), token: token))
    }
    guard let request = state.waiting.removeValue(forKey: packet.requestID) else { return nil }
    switch request.receiver {
    case .nobody:
      state.abandonedCount -= 1
      guard request.type == .transactionStart, packet.type == .transactionStart, let id = transactionID(packet.payload) else { return nil }
      return .abort(transaction: id, epoch: state.epoch)
    case .watch(let token, let events):
      // The store does not have it any more, for instance because the domain may not: the watch ends.
      guard packet.type == .error, state.watches[token]?.events === events else { return nil }
      state.watches[token] = nil
      return .end(events)
    case .task, .batch:
      if packet.type == .watch, let token = request.watchToken { state.watches[token]?.isAccepted = true }
      return .answer(request, answer(packet, to: request, epoch: state.epoch))
    }
  }

  private static func answer(_ packet: XenStorePacket, to request: WaitingRequest, epoch: UInt64) -> WaitingRequest.Answer {
    if packet.type == request.type { return .success(StoreReply(payload: packet.payload, epoch: epoch)) }
    if packet.type == .error, let error = XenStoreError(payload: packet.payload) {
      return .failure(.refused(request.type, path: request.path, error))
    }
    return .failure(.malformedReply(request.type, path: request.path))
  }

  static func transactionID(_ payload: [UInt8]) -> UInt32? {
    guard let text = XenStorePayload.onlyString(payload), let id = XenStorePayload.number(text, as: UInt32.self) else { return nil }
    return id == 0 ? nil : id
  }

  /// Wakes whoever waits. Without the lock: what they do next may need it.
  func carryOut(_ due: [Due]) {
    for one in due {
      switch one {
      case .answer(let receiver, let answer): XenStoreClient.deliver(answer, to: receiver)
      case .event(let events, let event): events.append(event)
      case .end(let events): events.end()
      case .abort(let transaction, let epoch):
        sendWithoutReply(.transactionEnd, strings: ["F"], transactionID: transaction, epoch: epoch)
      }
    }
  }
}
