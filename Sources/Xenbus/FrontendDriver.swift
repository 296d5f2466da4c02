/// The store half of one front-end device instance, as the life cycle calls it.
///
/// The hooks are called one at a time, never two at once, in the order of the table in `docs/xenbus-states.md`. A hook's
/// task is cancelled when its work is no longer wanted; it still has to return.
public protocol FrontendDriver: Sendable {
  /// Allocates and grants rings for what the back-end offers; the keys are written together with state Initialised.
  ///
  /// Partial work may be left behind on failure: ``disconnect()`` follows.
  /// - Parameter backend: the back-end's directory, read once; nothing in it is to be trusted.
  func prepare(backend: XenbusDirectory) async throws -> [String: String]

  /// Keys that stand for something that the prepared connection does not have. What an earlier connection, or the process before this
  /// one, left under these names would be taken for this one's: it is removed as the keys of ``prepare(backend:)`` are written.
  var obsoleteKeys: [String] { get }

  /// Reads what the connected back-end published and begins to use the device; state Connected follows.
  func connected(backend: XenbusDirectory) async throws

  /// Reads the back-end's keys again after it wrote Connected once more (resize).
  func backendChanged(backend: XenbusDirectory) async

  /// Stops sending and returns when every request under way is answered, or when no answer will come: its task was
  /// cancelled, or the driver itself found the ring broken (``XenbusNotices/peerViolation(_:)``).
  func quiesce() async

  /// Gives back rings, grants and ports; the back-end does not use them any more, or is dead. Requests that were not
  /// answered are kept for the next connection or failed, as the driver decides. Idempotent.
  func disconnect() async
}

extension FrontendDriver {
  public var obsoleteKeys: [String] { [] }
  public func backendChanged(backend: XenbusDirectory) async {}
  public func quiesce() async {}
}
