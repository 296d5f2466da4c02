import Synchronization
import XenInterface
import XenStoreWire

extension XenStoreClient {
  public func perform(_ batch: XenStoreBatch) async -> XenStoreBatchReplies { await perform(batch, transaction: nil) }

  func perform(_ batch: XenStoreBatch, transaction: TransactionIdentity?) async -> XenStoreBatchReplies {
    let requests = batch.requests
    let requestIDs = Mutex<[UInt32]>([])
    let answers = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let collector = BatchCollector(count: requests.count, continuation)
        let ids = submit(requests, transaction, collector)
        requestIDs.withLock { $0 = ids }
        // The handler may have run before there was anything to give up.
        if Task.isCancelled { for id in ids { cancel(id) } }
      }
    } onCancel: {
      for id in requestIDs.withLock({ $0 }) { cancel(id) }
    }
    return XenStoreBatchReplies(requests: requests, answers: answers)
  }

  /// Notes all requests at once, so that they are sent or held together and in order.
  private func submit(_ requests: [XenStoreBatch.Request], _ transaction: TransactionIdentity?, _ collector: BatchCollector) -> [UInt32] {
    var ids: [UInt32] = []
    var bytes: [UInt8] = []
    var refusals: [(index: Int, error: XenStoreClientError)] = []
    var alarm: RequestTimer.Alarm?
    let connection: (transport: any XenStoreTransport, epoch: UInt64)? = state.withLock { state in
      var connection: (any XenStoreTransport, UInt64)?
      for (index, request) in requests.enumerated() {
        guard request.isSendable else {
          refusals.append((index, .unsendable(request.type, path: request.path)))
          continue
        }
        let id = state.newRequestID()
        let packet = XenStorePacket(request.type, requestID: id, transactionID: transaction?.id ?? 0, payload: request.payload).encoded
        let waiting = WaitingRequest(
          type: request.type, path: request.path, transactionID: transaction?.id ?? 0, receiver: .batch(collector, index: index))
        switch admit(waiting, packet, id, transaction, &state) {
        case .send(let transport, let epoch):
          connection = (transport, epoch)
          bytes += packet
          ids.append(id)
        case .hold: ids.append(id)
        case .refuse(let error): refusals.append((index, error))
        }
        if let earlier = state.timer.alarm(for: state.waiting[id]) { alarm = earlier }
      }
      return connection
    }
    if let alarm { start(alarm) }
    for refusal in refusals { collector.set(.failure(refusal.error), at: refusal.index) }
    if let connection { send(bytes, on: connection.transport, epoch: connection.epoch) }
    if requests.isEmpty { collector.finish() }
    return ids
  }
}

extension XenStoreTransaction {
  public func perform(_ batch: XenStoreBatch) async -> XenStoreBatchReplies { await client.perform(batch, transaction: identity) }
}

extension XenStoreBatch.Request {
  /// Whether it fits a packet and its path is one.
  fileprivate var isSendable: Bool { payload.count <= XenStoreProtocol.maximumPayloadByteCount && !path.utf8.contains(0) }
}

/// Gathers the answers to a batch, in any order, and wakes whoever waits for all of them.
final class BatchCollector: Sendable {
  private struct State {
    var answers: [WaitingRequest.Answer?]
    var missing: Int
  }

  private let state: Mutex<State>
  private let continuation: CheckedContinuation<[WaitingRequest.Answer], Never>

  init(count: Int, _ continuation: CheckedContinuation<[WaitingRequest.Answer], Never>) {
    state = Mutex(State(answers: Array(repeating: nil, count: count), missing: count))
    self.continuation = continuation
  }

  /// Each index once.
  func set(_ answer: WaitingRequest.Answer, at index: Int) {
    let isLast = state.withLock { state in
      state.answers[index] = answer
      state.missing -= 1
      return state.missing == 0
    }
    if isLast { finish() }
  }

  func finish() { continuation.resume(returning: state.withLock { $0.answers.compactMap(\.self) }) }
}
