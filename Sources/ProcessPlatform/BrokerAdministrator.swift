public import BrokerWire
public import XenInterface
public import XenPlatform

/// Domains by hand, for a client that acts for domain 0; the broker refuses all others. Thread-safe; calls block.
public struct BrokerAdministrator: Sendable {
  let lease: BrokerLease

  /// Makes a domain: its sockets exist when this returns. Without a number the daemon picks one that was never used.
  /// A name has at most 64 bytes, no spaces and no slash; it may be empty.
  public func createDomain(_ domain: DomainID? = nil, name: String) throws(PlatformError) -> DomainID {
    try lease.link.call(.createDomain(domain, name: name)) { incoming throws(PlatformError) in
      guard case .domain(let domain) = incoming.message else { throw incoming.unexpected }
      return domain
    }
  }

  /// Destroys a domain: its processes are disconnected, and what others had granted to it cannot be opened any more.
  public func destroyDomain(_ domain: DomainID) throws(PlatformError) {
    try lease.link.call(.destroyDomain(domain)) { incoming throws(PlatformError) in
      guard case .done = incoming.message else { throw incoming.unexpected }
    }
  }

  /// All domains in the order of their numbers.
  public func domains() throws(PlatformError) -> [DomainDescription] {
    var all: [DomainDescription] = []
    while true {
      let page = try lease.link.call(.listDomains(after: all.last?.domain)) { incoming throws(PlatformError) in
        guard case .domains(let entries, let more) = incoming.message else { throw incoming.unexpected }
        return (entries, more)
      }
      all += page.0
      if !page.1 || page.0.isEmpty { return all }
    }
  }

  /// All processes connected to the broker, in the order in which they connected.
  public func connections() throws(PlatformError) -> [ConnectionDescription] {
    var all: [ConnectionDescription] = []
    while true {
      let page = try lease.link.call(.listConnections(after: all.last?.id ?? 0)) { incoming throws(PlatformError) in
        guard case .connections(let entries, let more) = incoming.message else { throw incoming.unexpected }
        return (entries, more)
      }
      all += page.0
      if !page.1 || page.0.isEmpty { return all }
    }
  }

  /// The event channel ends of `domain` in the order of their ports.
  public func ports(of domain: DomainID) throws(PlatformError) -> [PortDescription] {
    var all: [PortDescription] = []
    while true {
      let after = all.last?.port ?? EventChannelPort(rawValue: 0)
      let page = try lease.link.call(.listPorts(domain, after: after)) { incoming throws(PlatformError) in
        guard case .ports(let entries, let more) = incoming.message else { throw incoming.unexpected }
        return (entries, more)
      }
      all += page.0
      if !page.1 || page.0.isEmpty { return all }
    }
  }
}
