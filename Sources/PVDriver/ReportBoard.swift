import Synchronization

/// Keeps where something is, and tells everybody who asked what happens to it. Thread-safe.
public final class ReportBoard<Status: Sendable, Report: Sendable>: Sendable {
  private struct State {
    var status: Status
    var listeners: [Int: AsyncStream<Report>.Continuation] = [:]
    var nextListener = 0
    var isClosed = false
  }
  private let state: Mutex<State>

  public init(_ status: Status) { state = Mutex(State(status: status)) }

  public var status: Status { state.withLock { $0.status } }

  /// Reports from now on; the last 64 are kept for a listener that is slow. Ends when the board is closed.
  public func reports() -> AsyncStream<Report> {
    let (stream, continuation) = AsyncStream<Report>.makeStream(bufferingPolicy: .bufferingNewest(64))
    let key = state.withLock { state -> Int? in
      if state.isClosed { return nil }
      state.nextListener += 1
      state.listeners[state.nextListener] = continuation
      return state.nextListener
    }
    if let key {
      continuation.onTermination = { [weak self] _ in self?.state.withLock { _ = $0.listeners.removeValue(forKey: key) } }
    } else {
      continuation.finish()
    }
    return stream
  }

  /// Changes the status, and tells what `change` returns.
  public func report(_ change: (inout Status) -> Report) {
    let (report, listeners) = state.withLock { (change(&$0.status), Array($0.listeners.values)) }
    for listener in listeners { listener.yield(report) }
  }

  /// The last report.
  public func close(_ change: (inout Status) -> Report) {
    report(change)
    let listeners = state.withLock { state in
      state.isClosed = true
      defer { state.listeners = [:] }
      return Array(state.listeners.values)
    }
    for listener in listeners { listener.finish() }
  }
}
