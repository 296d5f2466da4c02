import BrokerWire
import LinuxSystem
public import XenInterface
public import XenPlatform

extension BrokerState {
  /// Numbers of entries in the broker's tables: all but `domains` are zero when nobody holds anything.
  public struct Usage: Sendable, Equatable {
    public var domains: Int
    public var connections: Int
    public var arenas: Int
    public var arenaPages: Int
    public var eventChannels: Int
  }

  public var usage: Usage {
    Usage(
      domains: domains.count, connections: connections.count,
      arenas: domains.keys.reduce(0) { $0 + arenas.count(of: $1) },
      arenaPages: domains.keys.reduce(0) { $0 + arenas.pageCount(of: $1) },
      eventChannels: domains.keys.reduce(0) { $0 + channels.count(of: $1) })
  }

  /// Makes a domain. Without a number it gets the next one that was never assigned, so that leftovers of a destroyed domain
  /// are not mistaken for its own.
  public mutating func createDomain(_ requested: DomainID?, name: String) throws(PlatformError) -> DomainID {
    let operation = "creation of a domain"
    guard domains.count < limits.domains else { throw .quotaExceeded(quota: "domains", domain: .control, limit: limits.domains) }
    guard name.utf8.count <= 64, name.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F && $0 != "/" }) else {
      throw .refused(operation: operation, reason: "a name has at most 64 bytes, no spaces and no slash")
    }
    if !name.isEmpty, let other = domains.first(where: { $0.value.name == name }) {
      throw .refused(operation: operation, reason: "domain \(other.key) has the name '\(name)' already")
    }
    let domain = requested ?? nextDomain()
    guard domain != .control, domain < .firstReserved else {
      throw .refused(operation: operation, reason: "a domain's number is between 1 and \(DomainID.firstReserved.rawValue - 1)")
    }
    guard domains[domain] == nil else { throw .refused(operation: operation, reason: "domain \(domain) exists already") }
    try hooks.open(domain, name)
    domains[domain] = Domain(name: name)
    lastAssignedDomain = max(lastAssignedDomain, domain.rawValue)
    return domain
  }

  /// Destroys a domain: its processes are disconnected, and what others had prepared for it becomes useless.
  public mutating func destroyDomain(_ domain: DomainID) throws(PlatformError) -> [Effect] {
    guard domain != .control else { throw .refused(operation: "destruction of domain 0", reason: "it is the control domain") }
    guard let holders = domains[domain]?.connections else { throw .noSuchDomain(domain) }
    var effects: [Effect] = []
    for holder in holders.sorted(by: { $0.rawValue < $1.rawValue }) { effects += drop(holder, reason: "domain \(domain) was destroyed") }
    channels.remove(domain: domain)
    arenas.remove(domain: domain)
    domains[domain] = nil
    hooks.close(domain)
    return effects
  }

  mutating func administer(_ request: BrokerRequest, _ id: UInt32, _ holder: HolderID) throws(PlatformError) -> [Effect] {
    switch request {
    case .createDomain(let domain, let name):
      return [reply(holder, id, .domain(try createDomain(domain, name: name)))]
    case .destroyDomain(let domain):
      return try destroyDomain(domain) + [reply(holder, id, .done)]
    case .listDomains(let after):
      let page = page(domains.keys.filter { after == nil || $0 > after! }.sorted())
      return [reply(holder, id, .domains(page.entries.map(describe), more: page.more))]
    case .listConnections(let after):
      let page = page(connections.keys.filter { $0.rawValue > after }.sorted { $0.rawValue < $1.rawValue })
      return [reply(holder, id, .connections(page.entries.map(describe), more: page.more))]
    case .listPorts(let domain, let after):
      guard domains[domain] != nil else { throw .noSuchDomain(domain) }
      let page = page(channels.ends(of: domain).filter { $0.port > after })
      return [reply(holder, id, .ports(page.entries.map(describe), more: page.more))]
    case .hello, .registerArena, .releaseArena, .openArena, .allocateUnbound, .bindInterdomain, .closePort, .connectStore:
      preconditionFailure("not an administrative request")
    }
  }

  private func nextDomain() -> DomainID {
    var candidate = lastAssignedDomain
    repeat {
      candidate = candidate + 1 < DomainID.firstReserved.rawValue ? candidate + 1 : 1
    } while domains[DomainID(rawValue: candidate)] != nil  // ends: `limits.domains` is far below the number of identifiers
    return DomainID(rawValue: candidate)
  }

  private func page<Entry>(_ all: [Entry]) -> (entries: [Entry], more: Bool) {
    (Array(all.prefix(BrokerProtocol.maximumListEntries)), all.count > BrokerProtocol.maximumListEntries)
  }

  private func describe(_ domain: DomainID) -> DomainDescription {
    DomainDescription(
      domain: domain, name: domains[domain]!.name, connectionCount: UInt32(domains[domain]!.connections.count),
      arenaCount: UInt32(arenas.count(of: domain)), arenaPageCount: UInt32(arenas.pageCount(of: domain)),
      eventChannelCount: UInt32(channels.count(of: domain)))
  }

  private func describe(_ holder: HolderID) -> ConnectionDescription {
    let connection = connections[holder]!
    return ConnectionDescription(
      id: holder.rawValue, domain: connection.domain, processID: UInt32(bitPattern: connection.credentials.processID),
      userID: connection.credentials.userID)
  }

  private func describe(_ end: EventChannelTable.End) -> PortDescription {
    var remotePort: EventChannelPort?
    if case .interdomain(_, let port) = end.state { remotePort = port }
    let processID = connections[end.holder]?.credentials.processID ?? 0
    return PortDescription(
      port: end.port, processID: UInt32(bitPattern: processID), remoteDomain: end.state.remoteDomain, remotePort: remotePort)
  }
}
