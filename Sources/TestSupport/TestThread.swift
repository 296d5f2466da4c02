import Dispatch
import Foundation

/// A thread of its own that can be waited for: tests of two sides must not share the cooperative pool.
public final class TestThread: Sendable {
  private let finished = DispatchSemaphore(value: 0)

  public init(_ body: @escaping @Sendable () -> Void) {
    let finished = finished
    Thread.detachNewThread {
      body()
      finished.signal()
    }
  }

  public func join() { finished.wait() }
}
