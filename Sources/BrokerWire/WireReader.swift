import XenInterface

/// Takes one message apart. Everything in it was written by somebody else: a bad byte is a thrown value.
struct WireReader {
  let kind: UInt16
  let requestID: UInt32
  private let bytes: [UInt8]
  private var offset = 8

  init(_ bytes: [UInt8]) throws(BrokerWireError) {
    guard bytes.count >= 8 else { throw .tooShort(byteCount: bytes.count) }
    self.bytes = bytes
    kind = UInt16(bytes[0]) | UInt16(bytes[1]) << 8
    guard bytes[2] == 0, bytes[3] == 0 else { throw .badValue(field: "reserved") }
    requestID = (4..<8).reversed().reduce(0) { $0 << 8 | UInt32(bytes[$1]) }
  }

  /// Nothing may follow the last field.
  func finish() throws(BrokerWireError) {
    guard offset == bytes.count else { throw .trailingBytes(count: bytes.count - offset) }
  }

  mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(_: Value.Type = Value.self) throws(BrokerWireError) -> Value {
    let width = Value.bitWidth / 8
    guard bytes.count - offset >= width else { throw .tooShort(byteCount: bytes.count) }
    var value: UInt64 = 0
    for index in (offset..<offset + width).reversed() { value = value << 8 | UInt64(bytes[index]) }
    offset += width
    return Value(truncatingIfNeeded: value)
  }

  mutating func domain() throws(BrokerWireError) -> DomainID { DomainID(rawValue: try integer()) }
  mutating func port() throws(BrokerWireError) -> EventChannelPort { EventChannelPort(rawValue: try integer()) }
  mutating func reference() throws(BrokerWireError) -> GrantReference { GrantReference(rawValue: try integer()) }

  mutating func flag(_ field: String) throws(BrokerWireError) -> Bool {
    switch try integer(UInt8.self) {
    case 0: return false
    case 1: return true
    default: throw .badValue(field: field)
    }
  }

  mutating func text(_ field: String) throws(BrokerWireError) -> String {
    let count = Int(try integer(UInt16.self))
    guard count <= BrokerProtocol.maximumTextByteCount else { throw .badValue(field: field) }
    guard bytes.count - offset >= count else { throw .tooShort(byteCount: bytes.count) }
    guard let text = String(validating: bytes[offset..<offset + count], as: UTF8.self) else { throw .badValue(field: field) }
    offset += count
    return text
  }

  /// A list whose length must fit one page.
  mutating func list<Element>(
    _ field: String, _ element: (inout WireReader) throws(BrokerWireError) -> Element
  ) throws(BrokerWireError) -> [Element] {
    let count = Int(try integer(UInt16.self))
    guard count <= BrokerProtocol.maximumListEntries else { throw .badValue(field: field) }
    var elements: [Element] = []
    for _ in 0..<count { elements.append(try element(&self)) }
    return elements
  }
}
