/// The name of a network interface, as the kernel allows it: 1 to 15 bytes, no slash, colon or space, not `.` or `..` (`dev_valid_name`, Linux).
public struct InterfaceName: Sendable, Hashable, CustomStringConvertible {
  public let description: String

  /// Nil when the kernel would refuse the name.
  public init?(_ text: String) {
    guard (1...15).contains(text.utf8.count), text != ".", text != "..",
      text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") && $0 != UInt8(ascii: "%") })
    else { return nil }
    description = text
  }
}
