import LinuxSystem
import SharedMemory

/// The time that limits and waits on a loop go by: the monotonic clock, or what a test sets.
///
/// Read only where a limit or a waiting request asks for it, so a request on its way costs no look at a clock. Loop thread only.
public struct LoopClock: ~Copyable {
  private let fixed = FixedCell<UInt64?>(nil)

  public init() {}

  public var nowNanoseconds: UInt64 { fixed.value ?? MonotonicClock.nowNanoseconds }

  /// Stops the clock at a time, for tests.
  public func set(nanoseconds: UInt64) { fixed.value = nanoseconds }
}
