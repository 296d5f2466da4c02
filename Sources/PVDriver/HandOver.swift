import Synchronization

/// Carries what one task made, such as a new arena, to the loop that will own it.
public final class HandOver<Value>: Sendable {
  private let value: Mutex<Value?>

  public init(_ value: consuming sending Value) { self.value = Mutex(value) }

  /// The value; once.
  public func take() -> sending Value {
    guard let taken = value.withLock({ $0.take() }) else { preconditionFailure("handed over twice") }
    return taken
  }
}
