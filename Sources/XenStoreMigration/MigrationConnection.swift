public import XenInterface

/// One connection to the store, and what is on its way in either direction (`CONNECTION_DATA`).
public struct MigrationConnection: Hashable, Sendable {
  /// What a connection is made of.
  public enum Kind: Hashable, Sendable {
    /// A page that a domain shares, with the event channel's port at our end, and the domain that it acts for (`SET_TARGET`).
    case ring(domain: DomainID, target: DomainID?, port: UInt32)
    /// A connected socket by its descriptor.
    case socket(descriptor: Int32)
  }

  /// Names the connection in other records of the stream; not zero.
  public var id: UInt32
  public var kind: Kind
  /// Received, but not a whole request yet. At most 65535 bytes.
  public var input: [UInt8]
  /// How many bytes at the start of ``output`` are the rest of what was sent in part; the others are whole packets.
  public var partialOutputByteCount: UInt16
  /// Not sent yet.
  public var output: [UInt8]
  /// Tells domains with the same number apart.
  public var uniqueID: UInt64?

  public init(
    id: UInt32, kind: Kind, input: [UInt8] = [], partialOutputByteCount: UInt16 = 0, output: [UInt8] = [], uniqueID: UInt64? = nil
  ) {
    self.id = id
    self.kind = kind
    self.input = input
    self.partialOutputByteCount = partialOutputByteCount
    self.output = output
    self.uniqueID = uniqueID
  }

  /// `DOMID_INVALID`: no target.
  public static let noDomain = DomainID(rawValue: 0x7FF4)
  private static let ringKind: UInt16 = 0
  private static let socketKind: UInt16 = 1
  private static let hasUniqueID: UInt16 = 1

  public func append(to stream: inout MigrationStreamWriter) {
    precondition(input.count <= Int(UInt16.max) && output.count <= Int(UInt32.max), "does not fit its counts")
    stream.append(.connection) { body in
      body.put(id)
      switch kind {
      case .ring: body.put(MigrationConnection.ringKind)
      case .socket: body.put(MigrationConnection.socketKind)
      }
      body.put(uniqueID == nil ? UInt16(0) : MigrationConnection.hasUniqueID)
      switch kind {
      case .ring(let domain, let target, let port):
        body.put(domain)
        body.put(target ?? MigrationConnection.noDomain)
        body.put(port)
      case .socket(let descriptor):
        body.put(descriptor)
        body.put(UInt32(0))
      }
      body.put(UInt16(input.count))
      body.put(partialOutputByteCount)
      body.put(UInt32(output.count))
      body.put(raw: input)
      body.put(raw: output)
      if let uniqueID {
        body.align()
        body.put(uniqueID)
      }
    }
  }

  public init(_ record: MigrationRecord) throws(MigrationFault) {
    var record = record
    id = try record.integer("conn-id")
    guard id != 0 else { throw record.fault("conn-id") }
    let kindNumber = try record.integer("conn-type", UInt16.self)
    let fields = try record.integer("fields", UInt16.self)
    guard fields & ~MigrationConnection.hasUniqueID == 0 else { throw record.fault("fields") }
    switch kindNumber {
    case MigrationConnection.ringKind:
      let domain = try record.domain("domid")
      let target = try record.domain("tdomid")
      kind = .ring(domain: domain, target: target == MigrationConnection.noDomain ? nil : target, port: try record.integer("evtchn"))
    case MigrationConnection.socketKind:
      kind = .socket(descriptor: try record.integer("socket-fd"))
      _ = try record.integer("pad", UInt32.self)
    default: throw record.fault("conn-type")
    }
    let inputByteCount = Int(try record.integer("in-data-len", UInt16.self))
    partialOutputByteCount = try record.integer("out-resp-len")
    let outputByteCount = Int(try record.integer("out-data-len", UInt32.self))
    guard Int(partialOutputByteCount) <= outputByteCount else { throw record.fault("out-resp-len") }
    input = Array(try record.raw("data", byteCount: inputByteCount))
    output = Array(try record.raw("data", byteCount: outputByteCount))
    if fields & MigrationConnection.hasUniqueID != 0 {
      try record.align("unique-id")
      uniqueID = try record.integer("unique-id")
    }
    try record.finish()
  }
}
