public import LinuxSystem
public import XenInterface

/// All event channels of all domains, as the hypervisor keeps them (xen/common/event_channel.c): what the broker and the
/// simulated platform have in common. Pure state; the caller checks that domains exist and delivers what is returned.
///
/// An end is closed (not in the table), unbound, or interdomain. When one end of a bound channel is closed, the other is
/// unbound again and keeps its counters and its remote domain, so that a restarted peer can bind to it.
public struct EventChannelTable: Sendable {
  public enum State: Sendable, Equatable {
    /// Nobody is at the other end; a process of `remote` may bind (`EVTCHNSTAT_unbound`).
    case unbound(remote: DomainID)
    /// Bound to `port` of `remote` (`EVTCHNSTAT_interdomain`).
    case interdomain(remote: DomainID, port: EventChannelPort)
    /// The remote domain was destroyed. Nobody can bind any more, not even a later domain with its number.
    case orphaned(remote: DomainID)

    public var remoteDomain: DomainID {
      switch self {
      case .unbound(let remote), .interdomain(let remote, _), .orphaned(let remote): remote
      }
    }
  }

  /// One end of a channel.
  public struct End: Sendable {
    public var domain: DomainID
    public var port: EventChannelPort
    public var holder: HolderID
    public var state: State
    /// The counter that this end waits on; the other end signals it.
    public var wait: SharedDescriptor
    /// The counter that this end signals.
    public var signal: SharedDescriptor

    public init(
      domain: DomainID, port: EventChannelPort, holder: HolderID, state: State, wait: SharedDescriptor, signal: SharedDescriptor
    ) {
      self.domain = domain
      self.port = port
      self.holder = holder
      self.state = state
      self.wait = wait
      self.signal = signal
    }
  }

  private struct Domain {
    var ends: [EventChannelPort: End] = [:]
    var lastPort: UInt32 = 0
  }
  private var domains: [DomainID: Domain] = [:]

  public init() {}

  public func end(_ port: EventChannelPort, of domain: DomainID) -> End? { domains[domain]?.ends[port] }

  /// Ends of `domain` in the order of their ports.
  public func ends(of domain: DomainID) -> [End] {
    (domains[domain]?.ends.values).map { $0.sorted { $0.port < $1.port } } ?? []
  }

  public func count(of domain: DomainID) -> Int { domains[domain]?.ends.count ?? 0 }

  /// A new end that only `remote` can bind to (`EVTCHNOP_alloc_unbound`).
  public mutating func allocateUnbound(
    domain: DomainID, holder: HolderID, remote: DomainID, wait: SharedDescriptor, signal: SharedDescriptor, limits: DomainLimits
  ) throws(PlatformError) -> End {
    try checkQuota(of: domain, limits)
    return insert(domain, holder, .unbound(remote: remote), wait: wait, signal: signal)
  }

  /// A new end that is bound to `port` of `remote` (`EVTCHNOP_bind_interdomain`). The caller then signals the new end's own
  /// `wait` once, because the peer may have signalled before anybody was there, and tells the holder of `peer`.
  public mutating func bindInterdomain(
    domain: DomainID, holder: HolderID, remote: DomainID, port: EventChannelPort, limits: DomainLimits
  ) throws(PlatformError) -> (end: End, peer: End) {
    guard let peer = end(port, of: remote), peer.state == .unbound(remote: domain) else { throw .noSuchPort(port, of: remote) }
    try checkQuota(of: domain, limits)
    let end = insert(domain, holder, .interdomain(remote: remote, port: port), wait: peer.signal, signal: peer.wait)
    domains[remote]?.ends[port]?.state = .interdomain(remote: domain, port: end.port)
    return (end, peer)
  }

  /// Closes one end (`EVTCHNOP_close`). Returns the other end, which is unbound now, if there was one.
  public mutating func close(_ port: EventChannelPort, of domain: DomainID) -> End? {
    guard let closed = domains[domain]?.ends.removeValue(forKey: port) else { return nil }
    guard case .interdomain(let remote, let remotePort) = closed.state else { return nil }
    domains[remote]?.ends[remotePort]?.state = .unbound(remote: domain)
    return end(remotePort, of: remote)
  }

  /// Closes every end that `holder` has in `domain`, as when a process dies. Returns the other ends, unbound now.
  public mutating func closeAll(of domain: DomainID, heldBy holder: HolderID) -> [End] {
    let ports = ends(of: domain).filter { $0.holder == holder }.map(\.port)
    let peers = ports.compactMap { close($0, of: domain) }
    return peers.filter { end($0.port, of: $0.domain) != nil }
  }

  /// Forgets a domain whose ends are all closed: nobody can bind to ends that were meant for it.
  public mutating func remove(domain: DomainID) {
    precondition(count(of: domain) == 0, "domain \(domain) still has event channels")
    domains[domain]?.ends = [:]
    for other in domains.keys {
      for (port, end) in domains[other]!.ends where end.state == .unbound(remote: domain) {
        domains[other]!.ends[port]!.state = .orphaned(remote: domain)
      }
    }
  }

  // MARK: Handing over

  /// Every domain that ever had an end, with the number of its last port, in order.
  public var lastPorts: [(domain: DomainID, port: UInt32)] { domains.map { ($0.key, $0.value.lastPort) }.sorted { $0.0 < $1.0 } }

  /// Makes the last port of a domain what it was in the table that this one continues.
  public mutating func restore(lastPort: UInt32, of domain: DomainID) { domains[domain, default: Domain()].lastPort = lastPort }

  /// Puts an end of the table that this one continues in its place.
  public mutating func restore(_ end: End) { domains[end.domain, default: Domain()].ends[end.port] = end }

  private func checkQuota(of domain: DomainID, _ limits: DomainLimits) throws(PlatformError) {
    guard count(of: domain) < limits.eventChannels else {
      throw .quotaExceeded(quota: "event-channels", domain: domain, limit: limits.eventChannels)
    }
  }

  /// Ports are not reused until the numbers wrap: a stale port in the store does not name somebody else's channel.
  private mutating func insert(
    _ domain: DomainID, _ holder: HolderID, _ state: State, wait: SharedDescriptor, signal: SharedDescriptor
  ) -> End {
    var table = domains[domain] ?? Domain()
    var port: EventChannelPort
    repeat {
      table.lastPort = table.lastPort == .max ? 1 : table.lastPort + 1
      port = EventChannelPort(rawValue: table.lastPort)
    } while table.ends[port] != nil
    let end = End(domain: domain, port: port, holder: holder, state: state, wait: wait, signal: signal)
    table.ends[port] = end
    domains[domain] = table
    return end
  }
}
