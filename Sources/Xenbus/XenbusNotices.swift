import Synchronization

/// What a driver, a signal handler or a toolstack tells a device's life cycle, from any thread.
///
/// Make one, give it to the driver and to ``XenbusBackend`` or ``XenbusFrontend``. Nothing queues up: each notice is
/// a flag, and raising it twice is raising it once (XSA-349).
public final class XenbusNotices: Sendable {
  struct Pending {
    var stop = false
    var leave = false
    var removed = false
    var domainReleased = false
    var vanished = false
    var violation: String?
    var repeated = false
    var resumed = false
    var changedKeys: [String: String]?
    var reconfiguration: [String: String]?

    var peerTouched = true
    var domainsTouched = false
    var lostWatch: String?
    var outcome: XenbusHookOutcome?
    var deadline: UInt64?
  }

  let pending = Mutex(Pending())
  let wakeUps: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation

  public init() {
    (wakeUps, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Asks the device to close and its life cycle to end (SIGTERM).
  public func stop() { raise { $0.stop = true } }

  /// Asks a back-end to finish its requests and to end, and to leave the front-end connected for the next process. For platforms whose
  /// grants and ports outlive a process; a device that is not connected is stopped.
  public func leave() { raise { $0.leave = true } }

  /// Whether ``stop()`` or ``leave()`` was called.
  public var isStopping: Bool { pending.withLock { $0.stop || $0.leave } }

  /// The peer's process is dead: nobody holds its end of the event channel. Only for the connection that is up now.
  public func peerVanished() { raise { $0.vanished = true } }

  /// The peer broke a rule of the ring; the driver does not touch the ring any more. The first reason is kept.
  public func peerViolation(_ reason: String) { raise { $0.violation = $0.violation ?? reason } }

  /// Back-end: keys to write again, with the state, so that the front-end reads them (resize: `sectors`).
  public func capacityChanged(_ keys: [String: String]) {
    raise { $0.changedKeys = ($0.changedKeys ?? [:]).merging(keys) { _, new in new } }
  }

  /// Back-end: ask ``BackendDriver/backing(device:)`` again.
  public func backingChanged() { raise { _ in } }

  /// Front-end: renegotiate these keys while connected (state Reconfiguring).
  public func reconfigure(_ keys: [String: String]) {
    raise { $0.reconfiguration = ($0.reconfiguration ?? [:]).merging(keys) { _, new in new } }
  }

  /// Front-end: the domain was resumed; the back-end may be elsewhere.
  public func resumed() { raise { $0.resumed = true } }

  func raise(_ change: (inout Pending) -> Void) {
    pending.withLock { change(&$0) }
    wake.yield()
  }
}

/// What a driver's operation makes of its own directory, together with the state that follows.
struct XenbusKeyChanges: Sendable {
  var written: [String: String] = [:]
  var removed: [String] = []
}

/// How a driver's operation ended.
struct XenbusHookOutcome: Sendable {
  var event: XenbusEvent
  var changes = XenbusKeyChanges()
  var failure: String?
}
