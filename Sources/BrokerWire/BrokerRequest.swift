public import XenInterface

/// What a process asks of the broker, always as the domain whose socket it opened.
public enum BrokerRequest: Sendable, Equatable {
  /// The first message of a connection.
  case hello(version: UInt32)
  /// With three descriptors: data, entries, status.
  case registerArena(peer: DomainID, readOnly: Bool, pageCount: UInt32)
  case releaseArena(firstReference: GrantReference)
  case openArena(granter: DomainID, reference: GrantReference)
  case allocateUnbound(remote: DomainID)
  case bindInterdomain(remote: DomainID, port: EventChannelPort)
  case closePort(EventChannelPort)
  /// Offers the store a page that was granted to domain 0, and the unbound port that goes with it.
  case connectStore(reference: GrantReference, port: EventChannelPort)

  // Only for domain 0. Listings come in pages: `after` is the last entry that the client has seen.
  case createDomain(DomainID?, name: String)
  case destroyDomain(DomainID)
  case listDomains(after: DomainID?)
  case listConnections(after: UInt64)
  case listPorts(DomainID, after: EventChannelPort)

  /// Descriptors that must come with the request.
  public var descriptorCount: Int {
    if case .registerArena = self { 3 } else { 0 }
  }
}

extension BrokerRequest {
  /// Stands for "no domain" on the wire; no domain can have this number (`DOMID_INVALID`).
  private static let noDomain: UInt16 = 0x7FF4

  public func encoded(requestID: UInt32) -> [UInt8] {
    var writer = WireWriter(kind: kind, requestID: requestID)
    switch self {
    case .hello(let version): writer.put(version)
    case .registerArena(let peer, let readOnly, let pageCount):
      writer.put(peer)
      writer.put(readOnly)
      writer.put(pageCount)
    case .releaseArena(let first): writer.put(first)
    case .openArena(let granter, let reference):
      writer.put(granter)
      writer.put(reference)
    case .allocateUnbound(let remote): writer.put(remote)
    case .bindInterdomain(let remote, let port):
      writer.put(remote)
      writer.put(port)
    case .closePort(let port): writer.put(port)
    case .connectStore(let reference, let port):
      writer.put(reference)
      writer.put(port)
    case .createDomain(let domain, let name):
      writer.put(domain?.rawValue ?? Self.noDomain)
      writer.put(name)
    case .destroyDomain(let domain): writer.put(domain)
    case .listDomains(let after): writer.put(after?.rawValue ?? Self.noDomain)
    case .listConnections(let after): writer.put(after)
    case .listPorts(let domain, let after):
      writer.put(domain)
      writer.put(after)
    }
    return writer.bytes
  }

  /// Reads a message of exactly this layout, and the id that its reply must carry.
  public static func decode(_ bytes: [UInt8]) throws(BrokerWireError) -> (request: BrokerRequest, requestID: UInt32) {
    var reader = try WireReader(bytes)
    let request: BrokerRequest
    switch reader.kind {
    case 1: request = .hello(version: try reader.integer())
    case 2: request = .registerArena(peer: try reader.domain(), readOnly: try reader.flag("readOnly"), pageCount: try reader.integer())
    case 3: request = .releaseArena(firstReference: try reader.reference())
    case 4: request = .openArena(granter: try reader.domain(), reference: try reader.reference())
    case 5: request = .allocateUnbound(remote: try reader.domain())
    case 6: request = .bindInterdomain(remote: try reader.domain(), port: try reader.port())
    case 7: request = .closePort(try reader.port())
    case 8: request = .createDomain(try optionalDomain(&reader), name: try reader.text("name"))
    case 9: request = .destroyDomain(try reader.domain())
    case 10: request = .listDomains(after: try optionalDomain(&reader))
    case 11: request = .listConnections(after: try reader.integer())
    case 12: request = .listPorts(try reader.domain(), after: try reader.port())
    case 13: request = .connectStore(reference: try reader.reference(), port: try reader.port())
    default: throw .unknownKind(reader.kind)
    }
    try reader.finish()
    return (request, reader.requestID)
  }

  private var kind: UInt16 {
    switch self {
    case .hello: 1
    case .registerArena: 2
    case .releaseArena: 3
    case .openArena: 4
    case .allocateUnbound: 5
    case .bindInterdomain: 6
    case .closePort: 7
    case .createDomain: 8
    case .destroyDomain: 9
    case .listDomains: 10
    case .listConnections: 11
    case .listPorts: 12
    case .connectStore: 13
    }
  }

  private static func optionalDomain(_ reader: inout WireReader) throws(BrokerWireError) -> DomainID? {
    let domain = try reader.domain()
    return domain.rawValue == noDomain ? nil : domain
  }
}
