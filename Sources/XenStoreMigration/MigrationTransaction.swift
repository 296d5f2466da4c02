/// One open transaction (`TRANSACTION_DATA`).
public struct MigrationTransaction: Hashable, Sendable {
  public var connection: UInt32
  /// As TRANSACTION_START told the client.
  public var transaction: UInt32

  public init(connection: UInt32, transaction: UInt32) {
    self.connection = connection
    self.transaction = transaction
  }

  public func append(to stream: inout MigrationStreamWriter) {
    stream.append(.transaction) { body in
      body.put(connection)
      body.put(transaction)
    }
  }

  public init(_ record: MigrationRecord) throws(MigrationFault) {
    var record = record
    connection = try record.integer("conn-id")
    transaction = try record.integer("tx-id")
    try record.finish()
  }
}
