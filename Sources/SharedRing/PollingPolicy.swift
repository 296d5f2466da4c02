/// How a loop waits for its peer when the ring is empty.
public enum PollingPolicy: Sendable, Equatable {
  /// Arm and sleep at once: least CPU, one wake-up (microseconds, tens of them on a virtual machine) an exchange.
  case never
  /// Poll for a self-tuning time that never exceeds the given one, then arm and sleep.
  case adaptive(maximumNanoseconds: UInt64)
  /// Poll for ever: a processor for each loop.
  case always

  /// Adaptive, at most 50 µs: a few times what waking a sleeper costs, so polling can never cost much more than it saves.
  public static let standard = PollingPolicy.adaptive(maximumNanoseconds: 50_000)
}
