import Synchronization

/// Says once, from any thread, that something is to end.
final class StopRequest: Sendable {
  private let value = Atomic(false)
  var isRaised: Bool { value.load(ordering: .relaxed) }
  func raise() { value.store(true, ordering: .relaxed) }
}
