public import BrokerWire
public import LinuxSystem
import SystemPackage
public import XenInterface
public import XenPlatform

/// What the broker knows: domains, the processes that act for them, their arenas and event channels.
///
/// No sockets: a message in, effects out. Confined to one thread. Everything a client sends is checked here.
public struct BrokerState {
  /// What has to happen in the outside world after a message, in this order.
  public enum Effect: Sendable {
    /// Send to a connection. `requestID` is 0 for a notification.
    case send(HolderID, BrokerMessage, requestID: UInt32, descriptors: [SharedDescriptor])
    /// Add one to a counter that a hostile process may share: must not be able to block the broker.
    case signal(SharedDescriptor)
    /// Offer the store a page of a domain, and answer the request with what it says.
    case connectStore(HolderID, DomainID, GrantReference, EventChannelPort, requestID: UInt32)
    /// Close a connection; ``disconnect(_:)`` has been applied already.
    case close(HolderID, reason: String)
  }

  /// Makes a domain reachable from outside, or not any more. A domain exists only if `open` succeeded.
  public struct DomainHooks {
    public var open: (DomainID, String) throws(PlatformError) -> Void
    public var close: (DomainID) -> Void

    public init(open: @escaping (DomainID, String) throws(PlatformError) -> Void, close: @escaping (DomainID) -> Void) {
      self.open = open
      self.close = close
    }
  }

  struct Domain {
    var name: String
    var connections: Set<HolderID> = []
  }

  struct Connection {
    var domain: DomainID
    var credentials: UnixSocket.PeerCredentials
    var saidHello = false
  }

  let limits: BrokerLimits
  let hooks: DomainHooks
  var domains: [DomainID: Domain] = [.control: Domain(name: "Domain-0")]
  var connections: [HolderID: Connection] = [:]
  var arenas = ArenaTable()
  var channels = EventChannelTable()
  var lastConnection: UInt64 = 0
  var lastAssignedDomain: UInt16 = 0

  public init(limits: BrokerLimits = BrokerLimits(), hooks: DomainHooks) {
    self.limits = limits
    self.hooks = hooks
  }

  func limits(of domain: DomainID) -> DomainLimits { domain == .control ? limits.control : limits.guest }

  // MARK: - Connections

  /// A process has opened the socket of `domain`. Throws when the domain has too many already.
  public mutating func connect(as domain: DomainID, credentials: UnixSocket.PeerCredentials) throws(PlatformError) -> HolderID {
    guard let count = domains[domain]?.connections.count else { throw .noSuchDomain(domain) }
    let limit = limits(of: domain).connections
    guard count < limit else { throw .quotaExceeded(quota: "connections", domain: domain, limit: limit) }
    lastConnection += 1
    let holder = HolderID(rawValue: lastConnection)
    connections[holder] = Connection(domain: domain, credentials: credentials)
    domains[domain]!.connections.insert(holder)
    return holder
  }

  /// A process is gone: its ports are closed, which their peers are told, and its arenas cannot be opened any more.
  public mutating func disconnect(_ holder: HolderID) -> [Effect] {
    guard let domain = connections[holder]?.domain else { return [] }
    arenas.releaseAll(of: domain, heldBy: holder)
    let peers = channels.closeAll(of: domain, heldBy: holder)
    connections[holder] = nil
    domains[domain]?.connections.remove(holder)
    return peers.map(peerClosed)
  }

  // MARK: - Messages

  /// Handles one packet. A request that cannot be granted is answered; a packet that breaks the protocol ends the connection.
  public mutating func handle(_ bytes: [UInt8], descriptors: [SharedDescriptor], from holder: HolderID) -> [Effect] {
    guard let connection = connections[holder] else { return [] }
    let request: BrokerRequest
    let requestID: UInt32
    do {
      (request, requestID) = try BrokerRequest.decode(bytes)
    } catch {
      return drop(holder, reason: error.description)
    }
    guard descriptors.count == request.descriptorCount else {
      return drop(holder, reason: "\(descriptors.count) descriptors came with a request that takes \(request.descriptorCount)")
    }
    if case .hello(let version) = request {
      guard version == BrokerProtocol.version else {
        return drop(holder, reason: "the client speaks broker protocol \(version), this daemon \(BrokerProtocol.version)")
      }
      connections[holder]!.saidHello = true
      return [reply(holder, requestID, .welcome(domain: connection.domain, version: BrokerProtocol.version))]
    }
    guard connection.saidHello else { return drop(holder, reason: "the first message was not hello") }
    do {
      return try perform(request, requestID, descriptors, as: connection.domain, holder)
    } catch {
      return [reply(holder, requestID, .failed(BrokerFailure(error)))]
    }
  }

  private mutating func perform(
    _ request: BrokerRequest, _ id: UInt32, _ descriptors: [SharedDescriptor], as domain: DomainID, _ holder: HolderID
  ) throws(PlatformError) -> [Effect] {
    switch request {
    case .hello: preconditionFailure("handled before")
    case .registerArena(let peer, let readOnly, let pageCount):
      let first = try registerArena(domain, holder, peer, readOnly ? .readOnly : .readWrite, pageCount, descriptors)
      return [reply(holder, id, .arenaRegistered(firstReference: first))]
    case .releaseArena(let first):
      guard arenas.release(first, of: domain, heldBy: holder) else {
        throw .refused(operation: "release of an arena", reason: "this connection has none that starts at reference \(first)")
      }
      return [reply(holder, id, .done)]
    case .openArena(let granter, let reference):
      guard let arena = arenas.arena(containing: reference, of: granter, for: domain), let files = arena.files else {
        return [reply(holder, id, .noArena)]
      }
      let message = BrokerMessage.arena(
        firstReference: arena.firstReference, readOnly: arena.access == .readOnly, pageCount: UInt32(arena.pageCount))
      return [reply(holder, id, message, [files.data, files.entries, files.status])]
    case .allocateUnbound(let remote):
      return try allocateUnbound(domain, holder, remote, id)
    case .bindInterdomain(let remote, let port):
      return try bindInterdomain(domain, holder, remote, port, id)
    case .closePort(let port):
      guard channels.end(port, of: domain)?.holder == holder else { throw .noSuchPort(port, of: domain) }
      let peer = channels.close(port, of: domain)
      return [reply(holder, id, .done)] + (peer.map { [peerClosed($0)] } ?? [])
    case .connectStore(let reference, let port):
      return [.connectStore(holder, domain, reference, port, requestID: id)]
    case .createDomain, .destroyDomain, .listDomains, .listConnections, .listPorts:
      guard domain == .control else { throw .notPermitted(operation: "manage domains", domain: domain) }
      return try administer(request, id, holder)
    }
  }

  private mutating func registerArena(
    _ granter: DomainID, _ holder: HolderID, _ peer: DomainID, _ access: GrantAccess, _ pageCount: UInt32, _ descriptors: [SharedDescriptor]
  ) throws(PlatformError) -> GrantReference {
    guard domains[peer] != nil else { throw .noSuchDomain(peer) }
    guard pageCount > 0 else { throw .refused(operation: "registration of an arena", reason: "it has no pages") }
    let pageCount = Int(pageCount)
    let limits = limits(of: granter)
    try arenas.checkQuota(of: granter, pageCount: pageCount, limits: limits)
    let files = ArenaFiles(data: descriptors[0], entries: descriptors[1], status: descriptors[2])
    try files.check(access: access, pageCount: pageCount)
    return try arenas.register(
      granter: granter, holder: holder, peer: peer, access: access, pageCount: pageCount,
      files: try files.restrictedForMapper(access: access), limits: limits)
  }

  private mutating func allocateUnbound(
    _ domain: DomainID, _ holder: HolderID, _ remote: DomainID, _ id: UInt32
  ) throws(PlatformError) -> [Effect] {
    guard domains[remote] != nil else { throw .noSuchDomain(remote) }
    let wait: SharedDescriptor
    let signal: SharedDescriptor
    do throws(Errno) {
      wait = SharedDescriptor(try EventDescriptor.create())
      signal = SharedDescriptor(try EventDescriptor.create())
    } catch {
      throw .system(operation: "create an event channel", error)
    }
    let end = try channels.allocateUnbound(
      domain: domain, holder: holder, remote: remote, wait: wait, signal: signal, limits: limits(of: domain))
    return [reply(holder, id, .channel(end.port), [end.wait, end.signal])]
  }

  private mutating func bindInterdomain(
    _ domain: DomainID, _ holder: HolderID, _ remote: DomainID, _ port: EventChannelPort, _ id: UInt32
  ) throws(PlatformError) -> [Effect] {
    guard domains[remote] != nil else { throw .noSuchDomain(remote) }
    let (end, peer) = try channels.bindInterdomain(
      domain: domain, holder: holder, remote: remote, port: port, limits: limits(of: domain))
    return [
      .signal(end.wait),
      reply(holder, id, .channel(end.port), [end.wait, end.signal]),
      .send(peer.holder, .portBound(peer.port), requestID: 0, descriptors: []),
    ]
  }

  // MARK: - Effects

  func reply(_ holder: HolderID, _ id: UInt32, _ message: BrokerMessage, _ descriptors: [SharedDescriptor] = []) -> Effect {
    .send(holder, message, requestID: id, descriptors: descriptors)
  }

  func peerClosed(_ end: EventChannelTable.End) -> Effect {
    .send(end.holder, .portClosed(end.port), requestID: 0, descriptors: [])
  }

  mutating func drop(_ holder: HolderID, reason: String) -> [Effect] {
    disconnect(holder) + [.close(holder, reason: reason)]
  }
}
