/// The type of a message field.
enum WireType: Hashable, Sendable {
  case integer(IntegerType)
  /// An integer that names something, and has a Swift type of its own.
  case identifier(IdentifierType)
  /// Another message of the same protocol.
  case record(String)

  init(name: String) {
    if let integer = IntegerType(rawValue: name) {
      self = .integer(integer)
    } else if let identifier = IdentifierType(rawValue: name) {
      self = .identifier(identifier)
    } else {
      self = .record(name)
    }
  }

  /// The integer that is on the wire, or nil for a message.
  var integer: IntegerType? {
    switch self {
    case .integer(let type): type
    case .identifier(let type): type.integer
    case .record: nil
    }
  }

  /// Name as a protocol file spells it.
  var name: String {
    switch self {
    case .integer(let type): type.rawValue
    case .identifier(let type): type.rawValue
    case .record(let name): name
    }
  }

  /// Names that a protocol file may use, apart from its own messages.
  static var knownNames: [String] { IntegerType.allCases.map(\.rawValue) + IdentifierType.allCases.map(\.rawValue) }
}

/// A fixed-width little-endian integer.
enum IntegerType: String, CaseIterable, Hashable, Sendable {
  case u8, u16, u32, u64, i16, i32

  var byteCount: Int {
    switch self {
    case .u8: 1
    case .u16, .i16: 2
    case .u32, .i32: 4
    case .u64: 8
    }
  }

  var swiftName: String { (isSigned ? "Int" : "UInt") + "\(byteCount * 8)" }

  var isSigned: Bool { self == .i16 || self == .i32 }

  /// The unsigned type of the same width, which bits are moved in.
  var swiftBitsName: String { "UInt\(byteCount * 8)" }

  var cName: String { (isSigned ? "int" : "uint") + "\(byteCount * 8)_t" }

  /// Values that fit.
  var range: ClosedRange<Int128> {
    switch self {
    case .i16: Int128(Int16.min)...Int128(Int16.max)
    case .i32: Int128(Int32.min)...Int128(Int32.max)
    default: 0...((Int128(1) << Int128(byteCount * 8)) - 1)
    }
  }
}

/// Integers that name a thing of the hypervisor.
enum IdentifierType: String, CaseIterable, Hashable, Sendable {
  case grantReference = "grant_ref"
  case domainID = "domid"
  case eventChannelPort = "port"

  var integer: IntegerType {
    switch self {
    case .domainID: .u16
    case .grantReference, .eventChannelPort: .u32
    }
  }

  var swiftName: String {
    switch self {
    case .grantReference: "GrantReference"
    case .domainID: "DomainID"
    case .eventChannelPort: "EventChannelPort"
    }
  }
}
