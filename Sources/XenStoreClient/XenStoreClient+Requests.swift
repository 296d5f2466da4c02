public import XenInterface
import Synchronization
import XenStoreWire

/// Sending requests, and giving up on them.
extension XenStoreClient {
  public func request(_ type: XenStoreMessageType, about path: String, payload: [UInt8]) async throws(XenStoreClientError) -> [UInt8] {
    try await request(type, about: path, payload: payload, transaction: nil).payload
  }

  /// - Parameter ignoresCancellation: for what must be sent to leave nothing behind.
  func request(
    _ type: XenStoreMessageType, about path: String, payload: [UInt8], transaction: TransactionIdentity?, watchToken: String? = nil,
    ignoresCancellation: Bool = false
  ) async throws(XenStoreClientError) -> StoreReply {
    guard payload.count <= XenStoreProtocol.maximumPayloadByteCount else { throw .unsendable(type, path: path) }
    if ignoresCancellation {
      return try await withCheckedContinuation { continuation in
        submit(type, about: path, payload: payload, transaction: transaction, receiver: .task(continuation), requestID: newRequestID())
      }.get()
    }
    if Task.isCancelled { throw .cancelled(type, path: path) }
    let requestID = newRequestID()
    return try await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        submit(
          type, about: path, payload: payload, transaction: transaction, watchToken: watchToken, receiver: .task(continuation),
          requestID: requestID)
        // The handler may have run before there was anything to give up.
        if Task.isCancelled { cancel(requestID) }
      }
    } onCancel: {
      cancel(requestID)
    }.get()
  }

  /// An identifier that no request has that waits. Wraps; zero is left out because events carry it.
  func newRequestID() -> UInt32 { state.withLock { $0.newRequestID() } }

  /// Notes a request, and sends it or holds it until there is a connection.
  func submit(
    _ type: XenStoreMessageType, about path: String, payload: [UInt8], transaction: TransactionIdentity?, watchToken: String? = nil,
    receiver: WaitingRequest.Receiver, requestID: UInt32
  ) {
    let packet = XenStorePacket(type, requestID: requestID, transactionID: transaction?.id ?? 0, payload: payload).encoded
    let request = WaitingRequest(
      type: type, path: path, transactionID: transaction?.id ?? 0, receiver: receiver, watchToken: watchToken)
    var timer: RequestTimer.Alarm?
    let admission = state.withLock { state in
      let admission = admit(request, packet, requestID, transaction, &state)
      timer = state.timer.alarm(for: state.waiting[requestID])
      return admission
    }
    if let timer { start(timer) }
    switch admission {
    case .send(let transport, let epoch): send(packet, on: transport, epoch: epoch)
    case .hold: break
    case .refuse(let error): XenStoreClient.deliver(.failure(error), to: receiver)
    }
  }

  /// What happens to a new request.
  enum Admission {
    case send(any XenStoreTransport, epoch: UInt64)
    case hold
    case refuse(XenStoreClientError)
  }

  /// Enters a request among those that wait.
  func admit(
    _ request: WaitingRequest, _ packet: [UInt8], _ requestID: UInt32, _ transaction: TransactionIdentity?, _ state: inout State
  ) -> Admission {
    var request = request
    if let limit = configuration.requestTimeLimit { request.deadline = .now + limit }
    if case .closed = state.link { return .refuse(.connectionLost) }
    if let transaction, transaction.epoch != state.epoch || state.link.isDown { return .refuse(.transactionLost) }
    switch state.link {
    // What undoes or ends something goes through.
    case .connected where state.abandonedCount >= XenStoreClient.abandonedRequestLimit && request.type != .transactionEnd:
      return .refuse(.notConnected(request.type, path: request.path, limit: .zero))
    case .connected(let transport):
      request.isSent = true
      if reconnects, request.isRepeatable { request.packet = packet }
      state.waiting[requestID] = request
      return .send(transport, epoch: state.epoch)
    case .restoring, .disconnected:
      guard state.held.count < XenStoreClient.heldRequestLimit else {
        return .refuse(.notConnected(request.type, path: request.path, limit: .zero))
      }
      request.connectionDeadline = .now + configuration.connectionWaitLimit
      if request.isRepeatable { request.packet = packet }
      state.waiting[requestID] = request
      state.held.append(HeldPacket(requestID: requestID, bytes: packet))
      return .hold
    case .closed: return .refuse(.connectionLost)
    }
  }

  /// Sends a request whose reply nobody waits for. What there is no connection for needs not be sent: it undoes what the lost one held.
  func sendWithoutReply(_ type: XenStoreMessageType, strings: [String], transactionID: UInt32 = 0, epoch: UInt64? = nil) {
    let packetAndLink: ([UInt8], any XenStoreTransport, UInt64)? = state.withLock { state in
      if let epoch, epoch != state.epoch { return nil }
      let bytes = XenStorePacket(type, requestID: state.newRequestID(), transactionID: transactionID, strings: strings).encoded
      switch state.link {
      case .connected(let transport): return (bytes, transport, state.epoch)
      case .restoring:
        state.held.append(HeldPacket(requestID: nil, bytes: bytes))
        return nil
      case .disconnected, .closed: return nil
      }
    }
    if let (bytes, transport, epoch) = packetAndLink { send(bytes, on: transport, epoch: epoch) }
  }

  func send(_ bytes: [UInt8], on transport: any XenStoreTransport, epoch: UInt64) {
    do throws(XenStoreTransportClosed) {
      try transport.send(bytes)
    } catch {
      lose(epoch: epoch)
    }
  }

  /// The waiter returns at once. A reply that is on its way is still matched.
  func cancel(_ requestID: UInt32) {
    let due: Due? = state.withLock { state in
      guard let request = state.waiting[requestID], !request.isAbandoned else { return nil }
      return state.giveUp(requestID, .cancelled(request.type, path: request.path))
    }
    if let due { carryOut([due]) }
  }

  static func deliver(_ answer: WaitingRequest.Answer, to receiver: WaitingRequest.Receiver) {
    switch receiver {
    case .task(let continuation): continuation.resume(returning: answer)
    case .batch(let collector, let index): collector.set(answer, at: index)
    case .watch, .nobody: break
    }
  }

  var reconnects: Bool { configuration.reconnect != .never && connector != nil }
}

extension WaitingRequest {
  var isAbandoned: Bool {
    if case .nobody = receiver { return true }
    return false
  }
}

extension XenStoreClient.Link {
  /// Whether nothing has been sent on this connection yet, or there is none.
  var isDown: Bool {
    switch self {
    case .connected: false
    case .restoring, .disconnected, .closed: true
    }
  }
}

extension XenStoreClient.State {
  mutating func newRequestID() -> UInt32 {
    repeat { lastRequestID &+= 1 } while lastRequestID == 0 || waiting[lastRequestID] != nil
    return lastRequestID
  }

  /// Answers a request before its reply. One that was not sent never will be; the reply of another is dropped when it comes.
  mutating func giveUp(_ requestID: UInt32, _ error: XenStoreClientError) -> Due? {
    guard let request = waiting[requestID] else { return nil }
    if request.isSent {
      waiting[requestID]?.receiver = .nobody
      waiting[requestID]?.packet = nil
      waiting[requestID]?.deadline = nil
      abandonedCount += 1
    } else {
      waiting[requestID] = nil
      held.removeAll { $0.requestID == requestID }
    }
    return .answer(request, .failure(error))
  }
}
