/// One named number with the C expression it must equal.
struct NamedValue: Sendable {
  let name: String
  let value: Int128
  /// Constant expression over Xen's headers that the C check compares, or nil when there is none.
  let c: String?
  /// Why the C check cannot compare this value, for example because the header that has it is newer.
  let unchecked: String?
  /// The only ABI that has this value, or nil when all have it.
  let abi: ABI?
  let doc: String
  let location: SourceLocation
}

/// Numbers that belong together: limits, offsets, sizes. A Swift enumeration without cases.
struct ConstantGroup: Sendable {
  let name: String
  let type: String
  let doc: String
  let values: [NamedValue]
  let location: SourceLocation

  static let knownTypes = ["Int", "UInt8", "UInt16", "UInt32", "UInt64"]
}

/// A closed list of values: operations, status codes, states.
struct Enumeration: Sendable {
  let name: String
  let type: IntegerType
  let doc: String
  let cases: [NamedValue]
  let location: SourceLocation
}

/// A bit mask. A Swift option set.
struct FlagSet: Sendable {
  let name: String
  let type: IntegerType
  let doc: String
  let bits: [NamedValue]
  let location: SourceLocation
}

/// Strings that are part of the wire format.
struct StringGroup: Sendable {
  struct Entry: Sendable {
    let name: String
    let value: String
    let c: String?
    let doc: String
    let location: SourceLocation
  }

  let name: String
  let doc: String
  /// True when the strings are the values of a Swift enumeration (a closed list, parsed from the wire).
  let closed: Bool
  /// C expression for the string with index `%u` in a table of Xen's headers that has the strings in our order.
  let cTable: String?
  let entries: [Entry]
  let location: SourceLocation
}
