/// One watch (`WATCH_DATA`, and `WATCH_DATA_EXTENDED` for one with a depth).
public struct MigrationWatch: Hashable, Sendable {
  public var connection: UInt32
  /// As the client gave it. At most 65534 bytes, as ``token``.
  public var path: [UInt8]
  public var token: [UInt8]
  /// How many levels below the path matter; nil for all.
  public var depth: UInt16?

  public init(connection: UInt32, path: [UInt8], token: [UInt8], depth: UInt16? = nil) {
    self.connection = connection
    self.path = path
    self.token = token
    self.depth = depth
  }

  /// What stands for all levels on the wire.
  private static let unlimited: UInt16 = .max

  public func append(to stream: inout MigrationStreamWriter) {
    precondition(path.count < Int(UInt16.max) && token.count < Int(UInt16.max), "does not fit its counts")
    stream.append(depth == nil ? .watch : .extendedWatch) { body in
      body.put(connection)
      body.put(UInt16(path.count + 1))
      body.put(UInt16(token.count + 1))
      if let depth {
        body.put(depth)
        body.put(UInt16(0))
      }
      for text in [path, token] {
        body.put(raw: text)
        body.put(UInt8(0))
      }
    }
  }

  public init(_ record: MigrationRecord) throws(MigrationFault) {
    var record = record
    connection = try record.integer("conn-id")
    let pathByteCount = Int(try record.integer("wpath-len", UInt16.self))
    let tokenByteCount = Int(try record.integer("token-len", UInt16.self))
    if record.type == .extendedWatch {
      let number = try record.integer("depth", UInt16.self)
      depth = number == MigrationWatch.unlimited ? nil : number
      _ = try record.integer("pad", UInt16.self)
    }
    path = try record.terminated("wpath", byteCount: pathByteCount)
    token = try record.terminated("token", byteCount: tokenByteCount)
    try record.finish()
  }
}
