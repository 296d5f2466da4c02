import LinuxSystem
import Synchronization

/// Does the same again and again, as fast as it can, beside what is tested.
public final class BusyThread: Sendable {
  private let stopping = Atomic<Bool>(false)
  private let thread = Mutex<TestThread?>(nil)

  /// - Parameter body: gets random numbers, the same ones each time.
  public init(_ body: @escaping @Sendable (inout SeededGenerator) -> Void) {
    let started = TestThread { [self] in
      var random = SeededGenerator(seed: 9)
      while !stopping.load(ordering: .relaxed) { body(&random) }
    }
    thread.withLock { $0 = started }
  }

  public func stop() {
    stopping.store(true, ordering: .relaxed)
    thread.withLock { $0 }?.join()
  }
}
