import LinuxSystem
import SharedMemory

/// The time that a plane goes by: the monotonic clock, or what a test sets.
///
/// Read only where a rate limit or a waiting frame asks for it, so a frame on its way costs no look at a clock.
struct PlaneClock: ~Copyable {
  private let fixed = FixedCell<UInt64?>(nil)

  var nowNanoseconds: UInt64 { fixed.value ?? MonotonicClock.nowNanoseconds }

  /// Stops the clock at a time, for tests.
  func set(nanoseconds: UInt64) { fixed.value = nanoseconds }
}
