import XenInterface

/// Builds one message.
struct WireWriter {
  private(set) var bytes: [UInt8] = []

  init(kind: UInt16, requestID: UInt32) {
    put(kind)
    put(UInt16(0))
    put(requestID)
  }

  mutating func put(_ value: some FixedWidthInteger) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }

  mutating func put(_ domain: DomainID) { put(domain.rawValue) }
  mutating func put(_ port: EventChannelPort) { put(port.rawValue) }
  mutating func put(_ reference: GrantReference) { put(reference.rawValue) }
  mutating func put(_ flag: Bool) { put(UInt8(flag ? 1 : 0)) }

  /// Texts that are too long lose their end, at a character's border.
  mutating func put(_ text: String) {
    var text = text
    while text.utf8.count > BrokerProtocol.maximumTextByteCount { text.removeLast() }
    put(UInt16(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }
}
