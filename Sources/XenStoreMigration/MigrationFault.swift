/// What is wrong with a migration stream. Nothing of a stream with a fault may be used.
public enum MigrationFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// The stream does not begin as one.
  case noStream
  case unknownVersion(UInt32)
  /// Flag bits that this version does not define.
  case unknownFlags(UInt32)
  /// The stream ends in the middle of something.
  case truncated(offset: Int)
  /// Bytes follow the end record.
  case trailingBytes(offset: Int)
  /// A record that this program does not know: whoever wrote it knew something that would be lost.
  case unknownRecord(MigrationRecordType, offset: Int)
  /// A record whose body is shorter or longer than its fields, or has a field with a value that it cannot have.
  case badRecord(MigrationRecordType, offset: Int, field: String)
  /// Records that do not fit each other.
  case inconsistent(String)

  public var description: String {
    switch self {
    case .noStream: "it is not a xenstore migration stream"
    case .unknownVersion(let version): "it is a migration stream of version \(version); 1 and 2 are known"
    case .unknownFlags(let flags): "the migration stream has unknown flags 0x\(String(flags, radix: 16))"
    case .truncated(let offset): "the migration stream ends early, at byte \(offset)"
    case .trailingBytes(let offset): "bytes follow the end of the migration stream, at byte \(offset)"
    case .unknownRecord(let type, let offset): "unknown record (\(type)) at byte \(offset) of the migration stream"
    case .badRecord(let type, let offset, let field): "bad \(field) in the record (\(type)) at byte \(offset) of the migration stream"
    case .inconsistent(let what): "the migration stream contradicts itself: \(what)"
    }
  }
}
