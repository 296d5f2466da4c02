/// Everything one `protocol.yaml` says.
struct ProtocolDescription: Sendable {
  /// Folder name under `Protocols/`, for example `blkif`.
  let name: String
  let title: String
  let summary: String
  /// Xen headers, relative to the include folder, for example `xen/io/blkif.h`.
  let headers: [String]
  let transport: Transport
  /// Sentences that a layout table cannot say, for the reference page.
  let rules: [String]
  let constants: [ConstantGroup]
  let enumerations: [Enumeration]
  let flags: [FlagSet]
  let strings: [StringGroup]
  let layouts: [SharedLayout]
  let records: [Record]
  let keys: KeyGroup?
  let location: SourceLocation

  /// Folder of the generated Swift, for example `GrantTable`.
  var swiftFolder: String { Identifier.upperCamel(name) }

  func record(named name: String) -> Record? { records.first { $0.name == name } }
}

/// How the two ends exchange the messages.
struct Transport: Sendable {
  enum Kind: String, CaseIterable, Sendable {
    /// Requests and responses in slots of one shared ring.
    case ring
    /// Packets on a byte stream (a socket or two byte rings).
    case stream
    /// A table in memory that both sides read.
    case table
    /// Calls into the hypervisor, or what replaces it.
    case call
    /// Nodes of the store only.
    case store
    /// A building block that other protocols use.
    case mechanism
  }

  let kind: Kind
  let summary: String
  /// Message that fills a request slot, for `ring`.
  let request: String?
  /// Message that fills a response slot, for `ring`.
  let response: String?
  let location: SourceLocation
}
