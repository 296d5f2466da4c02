import Synchronization
import XenInterface

/// One alarm for all requests: at the earliest of their deadlines.
struct RequestTimer {
  struct Alarm: Sendable {
    let number: UInt64
    let time: ContinuousClock.Instant
  }

  private var lastNumber: UInt64 = 0
  private(set) var current: Alarm?

  /// An alarm to start, when the request must be looked at before the one that is set.
  mutating func alarm(for request: WaitingRequest?) -> Alarm? {
    guard let time = request?.nextDeadline, time < current?.time ?? time + .nanoseconds(1) else { return nil }
    lastNumber += 1
    current = Alarm(number: lastNumber, time: time)
    return current
  }

  mutating func alarm(for requests: some Collection<WaitingRequest>) -> Alarm? {
    alarm(for: requests.min { ($0.nextDeadline ?? .distantFuture) < ($1.nextDeadline ?? .distantFuture) })
  }

  mutating func clear() { current = nil }
}

extension WaitingRequest {
  var nextDeadline: ContinuousClock.Instant? {
    guard !isSent, let connectionDeadline else { return deadline }
    return deadline.map { min($0, connectionDeadline) } ?? connectionDeadline
  }
}

extension ContinuousClock.Instant {
  fileprivate static var distantFuture: Self { .now + .seconds(1 << 40) }
}

extension XenStoreClient {
  func start(_ alarm: RequestTimer.Alarm) {
    Task.detached { [weak self] in
      try? await Task.sleep(until: alarm.time, clock: .continuous)
      self?.expire(alarm)
    }
  }

  /// Answers what has waited for too long.
  private func expire(_ alarm: RequestTimer.Alarm) {
    var due: [Due] = []
    let next: RequestTimer.Alarm? = state.withLock { state in
      guard state.timer.current?.number == alarm.number else { return nil }
      let now = ContinuousClock.now
      for (id, request) in state.waiting {
        guard let deadline = request.nextDeadline, deadline <= now else { continue }
        if let one = state.giveUp(id, timeLimitError(request)) { due.append(one) }
      }
      state.timer.clear()
      return state.timer.alarm(for: state.waiting.values)
    }
    carryOut(due)
    if let next { start(next) }
  }

  private func timeLimitError(_ request: WaitingRequest) -> XenStoreClientError {
    if !request.isSent, let connectionDeadline = request.connectionDeadline, connectionDeadline <= request.deadline ?? connectionDeadline {
      return .notConnected(request.type, path: request.path, limit: configuration.connectionWaitLimit)
    }
    let limit = configuration.requestTimeLimit ?? configuration.connectionWaitLimit
    return request.isSent
      ? .timedOut(request.type, path: request.path, limit: limit) : .notConnected(request.type, path: request.path, limit: limit)
  }
}
