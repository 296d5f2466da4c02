import Dispatch
import Foundation

/// A thread of its own that can be waited for: tests of two sides must not share the cooperative pool.
final class TestThread: Sendable {
  private let finished = DispatchSemaphore(value: 0)

  init(_ body: @escaping @Sendable () -> Void) {
    let finished = finished
    Thread.detachNewThread {
      body()
      finished.signal()
    }
  }

  func join() { finished.wait() }
}
