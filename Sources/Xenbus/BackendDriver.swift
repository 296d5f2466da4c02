/// The store half of one back-end device instance, as the life cycle calls it.
///
/// The hooks are called one at a time, never two at once, in the order of the table in `docs/xenbus-states.md`. A hook's
/// task is cancelled when its work is no longer wanted; it still has to return. Keys are relative to the device's
/// own directory and are written together with the state that follows, in one transaction.
public protocol BackendDriver: Sendable {
  /// Whether ``connect(frontend:)`` can take up rings that a process before this one has served and left, with the front-end still
  /// connected: the platform keeps grants and ports then, and the front-end does not notice.
  var adoptsConnections: Bool { get }

  /// Returns the features to offer; written together with state InitWait. A failure ends the back-end: what cannot
  /// be offered cannot be served.
  func advertise() async throws -> [String: String]

  /// Tells whether what the device serves is there; asked again whenever the own directory changes.
  /// - Parameter device: the back-end's own directory, as toolstack and hotplug scripts left it.
  func backing(device: XenbusDirectory) async -> XenbusBacking

  /// Maps the front-end's rings and begins to serve them; the keys are written together with state Connected.
  ///
  /// Partial work may be left behind on failure: ``disconnect()`` follows.
  /// - Parameter frontend: the front-end's directory, read once; nothing in it is to be trusted.
  func connect(frontend: XenbusDirectory) async throws -> [String: String]

  /// Puts keys in force that the front-end changed while connected (state Reconfiguring); the keys returned are
  /// written together with state Reconfigured.
  func reconfigure(frontend: XenbusDirectory) async throws -> [String: String]

  /// Finishes the requests under way, unmaps and unbinds everything of the front-end. Idempotent.
  func disconnect() async
}

extension BackendDriver {
  public var adoptsConnections: Bool { false }

  public func backing(device: XenbusDirectory) async -> XenbusBacking { .ready }

  public func reconfigure(frontend: XenbusDirectory) async throws -> [String: String] {
    throw XenbusError.reconfigurationUnsupported(frontend.path)
  }
}

/// Whether a back-end can serve yet.
public enum XenbusBacking: Sendable, Equatable {
  case ready
  /// Hotplug has not finished: the own directory lacks this key, or it does not have the value needed.
  case waiting(forKey: String)
}
