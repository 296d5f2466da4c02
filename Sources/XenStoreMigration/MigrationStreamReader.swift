public import XenInterface

/// Takes a migration stream apart. Nothing in it is believed: what does not fit is a thrown ``MigrationFault``, and nothing is allocated
/// but what the stream really has.
/// ```swift
/// var stream = try MigrationStreamReader(bytes)
/// while var record = try stream.next() {
///   switch record.type { … }
///   try record.finish()
/// }
/// ```
public struct MigrationStreamReader: Sendable {
  private let bytes: [UInt8]
  private var offset: Int
  /// Whether the numbers in the records are big-endian: flag 0 of the header.
  private let isBigEndian: Bool
  /// The version of the document that the stream follows.
  public let version: UInt32

  /// Checks the header.
  public init(_ bytes: [UInt8]) throws(MigrationFault) {
    guard bytes.starts(with: MigrationStreamWriter.ident) else { throw .noStream }
    guard bytes.count >= 16 else { throw .truncated(offset: bytes.count) }
    func number(at offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 << 8 | UInt32(bytes[offset + $1]) } }
    version = number(at: 8)
    guard version == 1 || version == 2 else { throw .unknownVersion(version) }
    let flags = number(at: 12)
    guard flags & ~1 == 0 else { throw .unknownFlags(flags) }
    isBigEndian = flags & 1 != 0
    self.bytes = bytes
    offset = 16
  }

  /// The next record, or nil behind the last one.
  public mutating func next() throws(MigrationFault) -> MigrationRecord? {
    guard bytes.count - offset >= 8 else { throw .truncated(offset: bytes.count) }
    var header = MigrationRecord(type: .end, bytes: bytes[offset..<offset + 8], isBigEndian: isBigEndian)
    let type = MigrationRecordType(rawValue: try header.integer("type"))
    let byteCount = Int(try header.integer("length", UInt32.self))
    let start = offset + 8
    let paddedByteCount = (byteCount + 7) / 8 * 8
    guard bytes.count - start >= paddedByteCount else { throw .truncated(offset: bytes.count) }
    let record = MigrationRecord(type: type, bytes: bytes[start..<start + byteCount], isBigEndian: isBigEndian)
    offset = start + paddedByteCount
    guard type != .end else {
      try record.finish()
      guard offset == bytes.count else { throw .trailingBytes(offset: offset) }
      return nil
    }
    return record
  }
}

/// One record: reads its fields in their order.
public struct MigrationRecord: Sendable {
  public let type: MigrationRecordType
  private let bytes: ArraySlice<UInt8>
  private var position: Int
  private let isBigEndian: Bool

  init(type: MigrationRecordType, bytes: ArraySlice<UInt8>, isBigEndian: Bool) {
    self.type = type
    self.bytes = bytes
    self.isBigEndian = isBigEndian
    position = bytes.startIndex
  }

  /// Bytes of the body that were not read yet.
  public var remainingByteCount: Int { bytes.endIndex - position }

  public mutating func integer<Value: FixedWidthInteger>(_ field: String, _: Value.Type = Value.self) throws(MigrationFault) -> Value {
    let part = try raw(field, byteCount: Value.bitWidth / 8)
    var value: UInt64 = 0
    if isBigEndian {
      for byte in part { value = value << 8 | UInt64(byte) }
    } else {
      for byte in part.reversed() { value = value << 8 | UInt64(byte) }
    }
    return Value(truncatingIfNeeded: value)
  }

  public mutating func flag(_ field: String) throws(MigrationFault) -> Bool {
    switch try integer(field, UInt8.self) {
    case 0: return false
    case 1: return true
    default: throw fault(field)
    }
  }

  public mutating func domain(_ field: String) throws(MigrationFault) -> DomainID { DomainID(rawValue: try integer(field)) }

  /// So many bytes as they are.
  public mutating func raw(_ field: String, byteCount: Int) throws(MigrationFault) -> ArraySlice<UInt8> {
    guard byteCount <= remainingByteCount else { throw fault(field) }
    defer { position += byteCount }
    return bytes[position..<position + byteCount]
  }

  /// A 32-bit count and as many bytes.
  public mutating func counted(_ field: String) throws(MigrationFault) -> ArraySlice<UInt8> {
    try raw(field, byteCount: Int(try integer(field, UInt32.self)))
  }

  public mutating func text(_ field: String) throws(MigrationFault) -> String {
    guard let text = String(validating: try counted(field), as: UTF8.self) else { throw fault(field) }
    return text
  }

  /// Skips to a multiple of eight bytes of the body.
  mutating func align(_ field: String) throws(MigrationFault) {
    _ = try raw(field, byteCount: (8 - (position - bytes.startIndex) % 8) % 8)
  }

  /// Nothing may follow the last field.
  public func finish() throws(MigrationFault) {
    guard position == bytes.endIndex else { throw fault("length") }
  }

  /// What to throw for a field with an impossible value.
  public func fault(_ field: String) -> MigrationFault { .badRecord(type, offset: bytes.startIndex - 8, field: field) }

  /// What to throw for a type that the reader does not know.
  public var unknown: MigrationFault { .unknownRecord(type, offset: bytes.startIndex - 8) }
}
