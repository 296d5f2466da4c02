public import XenStoreWire
import XenInterface

/// One node, of the live tree or as an open transaction left it (`NODE_DATA`).
public struct MigrationNode: Hashable, Sendable {
  /// How a transaction looked at a node.
  public struct Access: OptionSet, Hashable, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let read = Access(rawValue: 1)
    public static let written = Access(rawValue: 2)
  }

  /// The transaction that it belongs to, zero for the live tree.
  public var connection: UInt32
  public var transaction: UInt32
  public var access: Access
  /// The owner first; empty for a node that the transaction removed.
  public var permissions: [XenStorePermission]
  /// An absolute path, or a special name such as `@releaseDomain`. At most 65534 bytes.
  public var path: [UInt8]
  /// At most 65535 bytes.
  public var value: [UInt8]

  public init(
    path: [UInt8], value: [UInt8], permissions: [XenStorePermission], connection: UInt32 = 0, transaction: UInt32 = 0, access: Access = []
  ) {
    self.path = path
    self.value = value
    self.permissions = permissions
    self.connection = connection
    self.transaction = transaction
    self.access = access
  }

  public func append(to stream: inout MigrationStreamWriter) {
    precondition(path.count < Int(UInt16.max) && value.count <= Int(UInt16.max), "does not fit its counts")
    stream.append(.node) { body in
      body.put(connection)
      body.put(transaction)
      body.put(UInt16(path.count + 1))
      body.put(UInt16(value.count))
      body.put(access.rawValue)
      body.put(UInt16(permissions.count))
      for permission in permissions { body.put(permission) }
      body.put(raw: path)
      body.put(UInt8(0))
      body.put(raw: value)
    }
  }

  public init(_ record: MigrationRecord) throws(MigrationFault) {
    var record = record
    connection = try record.integer("conn-id")
    transaction = try record.integer("tx-id")
    let pathByteCount = Int(try record.integer("path-len", UInt16.self))
    let valueByteCount = Int(try record.integer("value-len", UInt16.self))
    access = Access(rawValue: try record.integer("access"))
    permissions = []
    for _ in 0..<(try record.integer("perm-count", UInt16.self)) { permissions.append(try record.permission()) }
    path = try record.terminated("path", byteCount: pathByteCount)
    value = Array(try record.raw("value", byteCount: valueByteCount))
    try record.finish()
  }
}

extension MigrationFieldWriter {
  /// One entry of a permission list: a letter, zero, the domain.
  public mutating func put(_ permission: XenStorePermission) {
    put(permission.description.utf8.first!)
    put(UInt8(0))
    put(permission.domain)
  }
}

extension MigrationRecord {
  /// One entry of a permission list.
  public mutating func permission() throws(MigrationFault) -> XenStorePermission {
    let letter = try integer("perm", UInt8.self)
    guard var permission = XenStorePermission(text: [letter, UInt8(ascii: "0")]) else { throw fault("perm") }
    _ = try integer("pad", UInt8.self)
    permission.domain = try domain("domid")
    return permission
  }

  /// A string whose count includes its NUL.
  mutating func terminated(_ field: String, byteCount: Int) throws(MigrationFault) -> [UInt8] {
    let bytes = try raw(field, byteCount: byteCount)
    guard let end = bytes.firstIndex(of: 0), end == bytes.endIndex - 1 else { throw fault(field) }
    return Array(bytes.dropLast())
  }
}
