public import XenInterface

/// Why the broker refused a request: the wire form of `PlatformError`.
public enum BrokerFailure: Error, Sendable, Equatable {
  case notPermitted(operation: String, domain: DomainID)
  case noSuchDomain(DomainID)
  case noSuchPort(EventChannelPort, of: DomainID)
  case quotaExceeded(quota: String, domain: DomainID, limit: UInt64)
  /// A system call failed in the broker, with this `errno`.
  case system(operation: String, errno: UInt32)
  case refused(operation: String, reason: String)

  func write(to writer: inout WireWriter) {
    switch self {
    case .notPermitted(let operation, let domain):
      writer.put(UInt8(1))
      writer.put(operation)
      writer.put(domain)
    case .noSuchDomain(let domain):
      writer.put(UInt8(2))
      writer.put(domain)
    case .noSuchPort(let port, let domain):
      writer.put(UInt8(3))
      writer.put(port)
      writer.put(domain)
    case .quotaExceeded(let quota, let domain, let limit):
      writer.put(UInt8(4))
      writer.put(quota)
      writer.put(domain)
      writer.put(limit)
    case .system(let operation, let errno):
      writer.put(UInt8(5))
      writer.put(operation)
      writer.put(errno)
    case .refused(let operation, let reason):
      writer.put(UInt8(6))
      writer.put(operation)
      writer.put(reason)
    }
  }

  init(from reader: inout WireReader) throws(BrokerWireError) {
    switch try reader.integer(UInt8.self) {
    case 1: self = .notPermitted(operation: try reader.text("operation"), domain: try reader.domain())
    case 2: self = .noSuchDomain(try reader.domain())
    case 3: self = .noSuchPort(try reader.port(), of: try reader.domain())
    case 4: self = .quotaExceeded(quota: try reader.text("quota"), domain: try reader.domain(), limit: try reader.integer())
    case 5: self = .system(operation: try reader.text("operation"), errno: try reader.integer())
    case 6: self = .refused(operation: try reader.text("operation"), reason: try reader.text("reason"))
    default: throw .badValue(field: "failure")
    }
  }
}
