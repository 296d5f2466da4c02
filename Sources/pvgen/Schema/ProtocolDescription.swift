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
  /// What the file says of a driver that is generated around the protocol; nil for a protocol that others define.
  var driver: DriverSection?
  let location: SourceLocation

  /// Folder of the generated Swift, for example `Sources/XenInterface/Generated/GrantTable/`.
  var swiftFolder: String { module.isDevice ? "\(module.folder)/" : "\(module.folder)/\(Identifier.upperCamel(name))/" }

  func record(named name: String) -> Record? { records.first { $0.name == name } }
}

/// A target that generated Swift belongs to: one for each party whose headers say what is right, and one for each driver of ours.
struct InterfaceModule: Hashable, Sendable {
  /// The target; for a device the word that its folder is called after.
  let name: String
  /// A device's own module, below `Sources/Devices/`.
  let isDevice: Bool

  static let xen = InterfaceModule(name: "XenInterface", isDevice: false)
  /// The records are copied as those of Xen are, so it builds on that module.
  static let virtio = InterfaceModule(name: "VirtioInterface", isDevice: false)

  static func device(_ name: String) -> InterfaceModule { InterfaceModule(name: name, isDevice: true) }

  /// The module that a protocol file names: one of the two above, or a device's.
  init(named name: String) {
    self.init(name: name, isDevice: ![Self.xen.name, Self.virtio.name].contains(name))
  }

  private init(name: String, isDevice: Bool) {
    self.name = name
    self.isDevice = isDevice
  }

  /// Where the generated Swift is.
  var folder: String { isDevice ? "Sources/Devices/\(name)/Interface/Generated" : "Sources/\(name)/Generated" }

  /// Who defines the protocols, as a reference page names it.
  var authority: String {
    switch self {
    case .virtio: "Linux (package linux-libc-dev), for virtio 1.2"
    default: "Xen"
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
    /// Events that one end writes and the other reads, each way in a part of one page.
    case events
    /// One message at a time, and a byte that says whose turn it is.
    case mailbox
    /// Pages that list the grant references of others.
    case directory
  }

  let kind: Kind
  let summary: String
  /// Message that fills a request slot, for `ring`.
  let request: String?
  /// Message that fills a response slot, for `ring`.
  let response: String?
  let location: SourceLocation
}
