import Synchronization
public import XenPlatform

/// Carries a new arena from the task that asked the platform for it to the loop that will own it.
public final class ArenaHandOver: Sendable {
  private let arena: Mutex<GrantArena?>

  public init(_ arena: consuming sending GrantArena) { self.arena = Mutex(arena) }

  /// The arena; once.
  public func take() -> sending GrantArena {
    guard let taken = arena.withLock({ $0.take() }) else { preconditionFailure("an arena was handed over twice") }
    return taken
  }
}
