public import XenInterface

/// Builds a migration stream, record by record.
/// ```swift
/// var stream = MigrationStreamWriter()
/// stream.append(.storeState) { $0.put(generation) }
/// let bytes = stream.finish()
/// ```
public struct MigrationStreamWriter: Sendable {
  /// `xenstore` in ASCII, the first eight bytes of a stream.
  static let ident: [UInt8] = Array("xenstore".utf8)
  /// With extended watches (version 2).
  static let version: UInt32 = 2

  private var bytes: [UInt8] = []

  /// Begins with the header, whose numbers are big-endian whatever the records' are. The records are little-endian.
  public init() {
    bytes = MigrationStreamWriter.ident
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: MigrationStreamWriter.version >> shift)) }
    bytes += [0, 0, 0, 0]
  }

  /// Adds one record, whose body `fill` writes.
  public mutating func append(_ type: MigrationRecordType, _ fill: (inout MigrationFieldWriter) -> Void) {
    var body = MigrationFieldWriter(bytes: bytes, start: bytes.count + 8)
    // The stream has one owner at a time, so that nothing copies it.
    bytes = []
    body.put(type.rawValue)
    body.put(UInt32(0))
    fill(&body)
    body.finish()
    bytes = body.bytes
  }

  /// Ends the stream.
  public consuming func finish() -> [UInt8] {
    append(.end) { _ in }
    return bytes
  }
}

/// Writes the fields of one record's body, little-endian and without gaps.
public struct MigrationFieldWriter: Sendable {
  fileprivate private(set) var bytes: [UInt8]
  private let start: Int

  fileprivate init(bytes: [UInt8], start: Int) {
    self.bytes = bytes
    self.start = start
  }

  public mutating func put(_ value: some FixedWidthInteger) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }

  public mutating func put(_ value: Bool) { put(UInt8(value ? 1 : 0)) }
  public mutating func put(_ domain: DomainID) { put(domain.rawValue) }

  /// Bytes without a count: one must be known from another field.
  public mutating func put(raw: some Collection<UInt8>) { bytes.append(contentsOf: raw) }

  /// A 32-bit count and the bytes.
  public mutating func put(counted: some Collection<UInt8>) {
    put(UInt32(counted.count))
    bytes.append(contentsOf: counted)
  }

  public mutating func put(_ text: String) { put(counted: text.utf8) }

  /// Writes the body's length in front of it and pads it.
  fileprivate mutating func finish() {
    let byteCount = bytes.count - start
    precondition(byteCount <= Int(UInt32.max), "a record of \(byteCount) bytes")
    for index in 0..<4 { bytes[start - 4 + index] = UInt8(truncatingIfNeeded: byteCount >> (8 * index)) }
    align()
  }

  /// Fills up with zeros to a multiple of eight bytes of the body.
  mutating func align() {
    bytes.append(contentsOf: repeatElement(0, count: (8 - (bytes.count - start) % 8) % 8))
  }
}
