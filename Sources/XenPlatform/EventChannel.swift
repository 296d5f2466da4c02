import Synchronization
public import LinuxSystem
public import XenInterface

/// One end of an event channel: something to wait on and something to signal.
///
/// Events coalesce: any number of signals before a wait is one event, or two on a Xen host, where one may be on its way already. A loop serves a channel through io_uring (`LoopEventChannel`); who
/// has no loop uses ``signal()`` and ``takeEvent()``.
public final class EventChannel: Sendable {
  /// What an event is made of.
  public enum Medium: Sendable {
    /// Two eventfds, which the peer shares. It can do anything to them that a holder can; so where that matters they are only
    /// used through an io_uring, where a signal cannot block the signaller.
    case counters
    /// A Xen host's device, with this one port bound in it: waiting reads its number, which masks it; writing the number lets the next
    /// event through (`/dev/xen/evtchn`). The hypervisor carries the signals.
    case device
  }

  public let medium: Medium
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
    port: EventChannelPort, remoteDomain: DomainID, medium: Medium = .counters, waitDescriptor: consuming OwnedDescriptor,
    signalDescriptor: consuming OwnedDescriptor, release: @escaping @Sendable () -> Void
  ) {
    self.medium = medium
    self.port = port
    self.remoteDomain = remoteDomain
    self.waitDescriptor = waitDescriptor
    self.signalDescriptor = signalDescriptor
    self.release = release
  }

  deinit { release() }

  /// Signals the peer at once, by a system call. A peer that holds the counter can make that wait, where there is one.
  public func signal() {
    switch medium {
    case .counters: EventDescriptor.signal(signalDescriptor)
    case .device: EventChannelDevice.notify(signalDescriptor.rawValue, port: port.rawValue)
    }
  }

  /// Takes the event that is there, if there is one, and lets the next through.
  @discardableResult public func takeEvent() -> Bool {
    switch medium {
    case .counters: EventDescriptor.drain(waitDescriptor) > 0
    case .device: EventChannelDevice.drain(waitDescriptor, port: port.rawValue)
    }
  }

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
