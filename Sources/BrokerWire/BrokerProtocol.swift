/// The numbers both halves of the broker protocol agree on.
///
/// A connection is a `SOCK_SEQPACKET` socket; one packet is one message. A message is a kind (16 bits), zero (16 bits), a
/// request id (32 bits), and a payload whose layout the kind decides. All numbers are little-endian; a text is a 16-bit
/// byte count and UTF-8. Descriptors travel beside the message that names them. The client's first message is `hello`.
public enum BrokerProtocol {
  /// Version spoken by this build; a broker refuses any other.
  public static let version: UInt32 = 2
  /// Longest message in bytes.
  public static let maximumMessageByteCount = 4096
  /// Longest text in a message, in bytes of UTF-8.
  public static let maximumTextByteCount = 255
  /// Most entries in one page of a listing, so that the page fits a message.
  public static let maximumListEntries = 12
}

/// A message that does not follow the layout of its kind.
public enum BrokerWireError: Error, Sendable, Equatable, CustomStringConvertible {
  case tooShort(byteCount: Int)
  case trailingBytes(count: Int)
  case unknownKind(UInt16)
  case badValue(field: String)

  public var description: String {
    switch self {
    case .tooShort(let count): "a message of \(count) bytes ends too early"
    case .trailingBytes(let count): "\(count) bytes follow the end of a message"
    case .unknownKind(let kind): "unknown message kind \(kind)"
    case .badValue(let field): "bad value in field '\(field)'"
    }
  }
}
