import LinuxSystem

/// A call that the loop makes once, at or after a time. Loop thread only.
public final class LoopTimer {
  let deadline: UInt64
  var handler: (() -> Void)?

  init(deadline: UInt64, handler: @escaping () -> Void) {
    self.deadline = deadline
    self.handler = handler
  }

  /// Forgets the call. Harmless when it has been made.
  public func cancel() { handler = nil }
}

extension EventLoop {
  /// Calls `handler` on the loop's thread once `nanoseconds` have passed.
  @discardableResult
  public func schedule(afterNanoseconds nanoseconds: UInt64, _ handler: @escaping () -> Void) -> LoopTimer {
    assertOnLoop()
    let timer = LoopTimer(deadline: MonotonicClock.nowNanoseconds + nanoseconds, handler: handler)
    timers.insert(timer)
    return timer
  }
}

/// Timers in the order of their deadlines. A loop has a handful, so a sorted array is the whole structure.
struct TimerQueue {
  private var timers: [LoopTimer] = []

  var isEmpty: Bool { timers.isEmpty }

  mutating func insert(_ timer: LoopTimer) {
    let index = timers.firstIndex { $0.deadline > timer.deadline } ?? timers.endIndex
    timers.insert(timer, at: index)
  }

  func nanosecondsUntilNext(now: UInt64) -> Int64? {
    guard let next = timers.first(where: { $0.handler != nil }) else { return nil }
    return next.deadline > now ? Int64(min(next.deadline - now, UInt64(Int64.max))) : 0
  }

  /// Takes the next call that is due out of the queue. The caller makes it: a call may schedule another one.
  mutating func takeDue(now: UInt64) -> (() -> Void)? {
    while let first = timers.first, first.handler == nil || first.deadline <= now {
      timers.removeFirst()
      if let handler = first.handler.take() { return handler }
    }
    return nil
  }
}
