import EventLoop
import XenStoreCore

/// How the bytes of one connection come and go: a socket, or a domain's ring. Loop thread only.
///
/// A link feeds what arrives to the core and then has the server flush, because a request may concern any connection.
class StoreLink {
  /// What became of an attempt to send.
  enum Delivery {
    /// The peer took everything that the core gave out.
    case all
    /// The peer's buffer is full; the link calls ``XenStoreServer/resume(_:)`` when there is room again.
    case blocked
    /// The peer is gone.
    case failed
  }

  let id: XenStoreConnectionID

  init(id: XenStoreConnectionID) { self.id = id }

  deinit { reading?.cancel() }

  /// Takes output from the core and sends it, as much as the peer takes.
  func deliver(from core: XenStoreCore) -> Delivery { fatalError("a subclass overrides this") }

  /// Takes what the peer has sent, if it is read from.
  func read() { fatalError("a subclass overrides this") }

  /// Calls ``read()``. Cancelled when the link goes: a weak reference in the call would make every other one slower.
  private var reading: LoopTimer?

  /// Has ``read()`` called in one of the loop's next turns: what is there has had its event.
  func scheduleReading(on loop: EventLoop) {
    guard reading == nil else { return }
    reading = loop.schedule(afterNanoseconds: 0) { [unowned self] in
      reading = nil
      read()
    }
  }

  /// Reads on, or not: a peer that does not read its replies is not read from.
  func update(isHeldBack: Bool) { fatalError("a subclass overrides this") }

  /// The core is done with the connection. True when the link has seen to it and goes on; else it is closed.
  func survives(_ fault: XenStoreConnectionFault) -> Bool { false }

  /// What the next daemon needs to go on with this link; nil for one that cannot be handed over.
  var migrated: XenStoreMigratedLink? { nil }

  /// Ends it. Nothing is called after this.
  func close() { fatalError("a subclass overrides this") }
}
