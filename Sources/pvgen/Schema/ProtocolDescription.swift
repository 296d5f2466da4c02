/// Everything one `protocol.yaml` says.
struct ProtocolDescription: Sendable {
  /// Folder name under `Protocols/`, for example `blkif`.
  let name: String
  /// Where its Swift goes.
  let module: InterfaceModule
  let title: String
  let summary: String
  /// Headers of whoever defines it, relative to the include folder, for example `xen/io/blkif.h`.
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

  /// Folder of the generated Swift, for example `Sources/XenInterface/Generated/GrantTable/`.
  var swiftFolder: String { "\(module.folder)/\(Identifier.upperCamel(name))/" }

  func record(named name: String) -> Record? { records.first { $0.name == name } }
}

/// A target that generated Swift belongs to: one for each party whose headers say what is right.
enum InterfaceModule: String, CaseIterable, Sendable {
  case xen = "XenInterface"
  /// The records are copied as those of Xen are, so it builds on that module.
  case virtio = "VirtioInterface"

  /// Where the generated Swift is.
  var folder: String { "Sources/\(rawValue)/Generated" }

  /// Who defines the protocols, as a reference page names it.
  var authority: String {
    switch self {
    case .xen: "Xen"
    case .virtio: "Linux (package linux-libc-dev), for virtio 1.2"
    }
  }

  /// Lines around what a C check says of this module, for compilers that do not find its headers: Linux's are not there for i386.
  var cGuard: (open: String, close: String)? { self == .virtio ? ("#ifndef __i386__", "#endif") : nil }
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
