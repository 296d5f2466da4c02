import Synchronization

/// Says once, from any thread, that something is to end.
public final class StopRequest: Sendable {
  private struct State {
    var isRaised = false
    var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var nextNumber: UInt64 = 0
  }
  private let state = Mutex(State())

  public init() {}

  /// One that the first signal to end raises.
  public static func bySignal() -> StopRequest {
    let request = StopRequest()
    Task {
      _ = await Process.nextSignal()
      request.raise()
    }
    return request
  }

  public var isRaised: Bool { state.withLock { $0.isRaised } }

  public func raise() {
    let waiting = state.withLock { state in
      state.isRaised = true
      defer { state.waiting = [:] }
      return state.waiting
    }
    for continuation in waiting.values { continuation.resume() }
  }

  /// Returns when it has been said, or when the task is cancelled: true if it has been said.
  @discardableResult public func wait() async -> Bool {
    let number = state.withLock { state in
      state.nextNumber += 1
      return state.nextNumber
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          let isOver = state.isRaised || Task.isCancelled
          if !isOver { state.waiting[number] = continuation }
          return isOver
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiting.removeValue(forKey: number) }?.resume()
    }
    return isRaised
  }
}

extension StopRequest {
  /// What `work` returns; nil when the end is asked for first, and `work` is cancelled then.
  public func unlessRaised<Value: Sendable>(_ work: @escaping @Sendable () async -> Value?) async -> Value? {
    await withTaskGroup(of: Value?.self) { group in
      group.addTask { await work() }
      group.addTask {
        await self.wait()
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first
    }
  }
}
