public import XenInterface

/// What the broker sends: the reply to a request, or a notification (which carries request id 0).
public enum BrokerMessage: Sendable, Equatable {
  case done
  case failed(BrokerFailure)
  case welcome(domain: DomainID, version: UInt32)
  case arenaRegistered(firstReference: GrantReference)
  /// With three descriptors: data, entries, status.
  case arena(firstReference: GrantReference, readOnly: Bool, pageCount: UInt32)
  /// No arena of that granter holds the reference and is meant for the caller.
  case noArena
  /// With two descriptors: the counter to wait on, the counter to signal.
  case channel(EventChannelPort)
  case domain(DomainID)
  case domains([DomainDescription], more: Bool)
  case connections([ConnectionDescription], more: Bool)
  case ports([PortDescription], more: Bool)

  /// Notification: the other end of `port` was closed, by its holder or by its holder's death; `port` is unbound again.
  case portClosed(EventChannelPort)
  /// Notification: somebody has bound to `port`.
  case portBound(EventChannelPort)

  /// Descriptors that must come with the message.
  public var descriptorCount: Int {
    switch self {
    case .arena: 3
    case .channel: 2
    default: 0
    }
  }

  public var isNotification: Bool {
    switch self {
    case .portClosed, .portBound: true
    default: false
    }
  }
}

extension BrokerMessage {
  public func encoded(requestID: UInt32) -> [UInt8] {
    var writer = WireWriter(kind: kind, requestID: requestID)
    switch self {
    case .done, .noArena: break
    case .failed(let failure): failure.write(to: &writer)
    case .welcome(let domain, let version):
      writer.put(domain)
      writer.put(version)
    case .arenaRegistered(let first): writer.put(first)
    case .arena(let first, let readOnly, let pageCount):
      writer.put(first)
      writer.put(readOnly)
      writer.put(pageCount)
    case .channel(let port), .portClosed(let port), .portBound(let port): writer.put(port)
    case .domain(let domain): writer.put(domain)
    case .domains(let entries, let more):
      writer.put(UInt16(entries.count))
      for entry in entries { entry.write(to: &writer) }
      writer.put(more)
    case .connections(let entries, let more):
      writer.put(UInt16(entries.count))
      for entry in entries { entry.write(to: &writer) }
      writer.put(more)
    case .ports(let entries, let more):
      writer.put(UInt16(entries.count))
      for entry in entries { entry.write(to: &writer) }
      writer.put(more)
    }
    return writer.bytes
  }

  public static func decode(_ bytes: [UInt8]) throws(BrokerWireError) -> (message: BrokerMessage, requestID: UInt32) {
    var reader = try WireReader(bytes)
    let message: BrokerMessage
    switch reader.kind {
    case 0x101: message = .done
    case 0x102: message = .failed(try BrokerFailure(from: &reader))
    case 0x103: message = .welcome(domain: try reader.domain(), version: try reader.integer())
    case 0x104: message = .arenaRegistered(firstReference: try reader.reference())
    case 0x105: message = .arena(firstReference: try reader.reference(), readOnly: try reader.flag("readOnly"), pageCount: try reader.integer())
    case 0x106: message = .noArena
    case 0x107: message = .channel(try reader.port())
    case 0x108: message = .domain(try reader.domain())
    case 0x109: message = .domains(try reader.list("domains", DomainDescription.init), more: try reader.flag("more"))
    case 0x10A: message = .connections(try reader.list("connections", ConnectionDescription.init), more: try reader.flag("more"))
    case 0x10B: message = .ports(try reader.list("ports", PortDescription.init), more: try reader.flag("more"))
    case 0x201: message = .portClosed(try reader.port())
    case 0x202: message = .portBound(try reader.port())
    default: throw .unknownKind(reader.kind)
    }
    try reader.finish()
    return (message, reader.requestID)
  }

  private var kind: UInt16 {
    switch self {
    case .done: 0x101
    case .failed: 0x102
    case .welcome: 0x103
    case .arenaRegistered: 0x104
    case .arena: 0x105
    case .noArena: 0x106
    case .channel: 0x107
    case .domain: 0x108
    case .domains: 0x109
    case .connections: 0x10A
    case .ports: 0x10B
    case .portClosed: 0x201
    case .portBound: 0x202
    }
  }
}
