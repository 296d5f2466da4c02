import Synchronization
public import LinuxSystem
public import XenInterface

/// One end of an event channel: a counter to wait on and a counter to signal.
///
/// Events coalesce: any number of signals before a wait is one event. The descriptors are shared with the peer, which
/// can do anything to them that a holder of an eventfd can; so they are only ever used through an io_uring, where a
/// signal cannot block the signaller (see `LoopEventChannel`).
public final class EventChannel: Sendable {
  /// Our number for this end (`evtchn_port_t`).
  public let port: EventChannelPort
  public let remoteDomain: DomainID
  /// Becomes readable when the peer signals.
  public let waitDescriptor: OwnedDescriptor
  /// Adding to it signals the peer.
  public let signalDescriptor: OwnedDescriptor

  private struct State {
    var handler: (@Sendable () -> Void)?
    var peerHasClosed = false
  }
  private let state = Mutex(State())
  private let release: @Sendable () -> Void

  /// For platforms. `release` closes the port when this object goes away (`EVTCHNOP_close`).
  public init(
    port: EventChannelPort, remoteDomain: DomainID, waitDescriptor: consuming OwnedDescriptor,
    signalDescriptor: consuming OwnedDescriptor, release: @escaping @Sendable () -> Void
  ) {
    self.port = port
    self.remoteDomain = remoteDomain
    self.waitDescriptor = waitDescriptor
    self.signalDescriptor = signalDescriptor
    self.release = release
  }

  deinit { release() }

  /// Runs `handler` when the peer's end is closed, by the peer or by its death; at once if that has happened already.
  /// Called on a thread of the platform. A later call replaces the handler; nil removes it.
  public func onPeerClosed(_ handler: (@Sendable () -> Void)?) {
    let alreadyClosed = state.withLock { state in
      state.handler = handler
      return state.peerHasClosed
    }
    if alreadyClosed { handler?() }
  }

  /// For platforms: the peer's end is gone, and this end is unbound again.
  public func peerDidClose() {
    let handler = state.withLock { state in
      state.peerHasClosed = true
      return state.handler
    }
    handler?()
  }

  /// For platforms: a peer has bound to this end.
  public func peerDidBind() { state.withLock { $0.peerHasClosed = false } }
}
