/// The store keys of a protocol.
struct KeyGroup: Sendable {
  /// Swift name of the outermost type, for example `BlkifKeys`.
  let name: String
  let doc: String
  let keys: [Key]
  let location: SourceLocation

  struct Key: Sendable {
    /// Node name below the device directory; `%u` stands for an index.
    let name: String
    /// Swift constant.
    let swiftName: String
    let directory: Directory
    let writer: Writer
    let type: KeyType
    /// Whether the key can also live in a `queue-N/` directory.
    let perQueue: Bool
    let unit: String?
    let defaultValue: String?
    let minimum: UInt64?
    let maximum: UInt64?
    /// How the two ends arrive at a common value.
    let agreement: String?
    let deprecated: Bool
    let doc: String
    let location: SourceLocation

    var isIndexed: Bool { name.contains("%u") }
  }

  /// Whose directory the key is in.
  enum Directory: String, CaseIterable, Sendable {
    case frontend, backend
  }

  /// Who writes the key.
  enum Writer: String, CaseIterable, Sendable {
    case frontend, backend, toolstack, hotplug
  }
}

/// The type of a store value.
enum KeyType: Hashable, Sendable {
  case u16, u32, u64
  case bool
  case string
  case path
  case grantReference, port, domainID
  /// `major:minor`, hexadecimal.
  case deviceNumber
  case xenbusState
  /// A flag set of the same protocol, in decimal.
  case flags(String)
  /// A closed string list of the same protocol.
  case strings(String)

  /// Types that need no declaration, as a protocol file spells them.
  static let builtIn: [String: KeyType] = [
    "u16": .u16, "u32": .u32, "u64": .u64, "bool": .bool, "string": .string, "path": .path, "grant_ref": .grantReference,
    "port": .port, "domid": .domainID, "device_number": .deviceNumber, "xenbus_state": .xenbusState,
  ]

  var swiftName: String {
    switch self {
    case .u16: "UInt16"
    case .u32: "UInt32"
    case .u64: "UInt64"
    case .bool: "Bool"
    case .string, .path: "String"
    case .grantReference: "GrantReference"
    case .port: "EventChannelPort"
    case .domainID: "DomainID"
    case .deviceNumber: "DeviceNumber"
    case .xenbusState: "XenbusState"
    case .flags(let name), .strings(let name): name
    }
  }

  /// Largest number the type holds, or nil when it is not a number.
  var largest: UInt64? {
    switch self {
    case .u16, .domainID: UInt64(UInt16.max)
    case .u32, .grantReference, .port, .xenbusState: UInt64(UInt32.max)
    case .u64: UInt64.max
    default: nil
    }
  }
}
