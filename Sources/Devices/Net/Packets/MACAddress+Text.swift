extension MACAddress: CustomStringConvertible {
  /// As the store has it: `00:16:3e:12:34:56`.
  public var description: String {
    (0..<6).map { index in
      let byte = UInt8(truncatingIfNeeded: rawValue >> UInt64(40 - 8 * index))
      return (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }.joined(separator: ":")
  }

  /// Six bytes in hexadecimal, one or two digits each, with colons between them; nil for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 6 else { return nil }
    var number: UInt64 = 0
    for part in parts {
      guard (1...2).contains(part.count), part.allSatisfy(\.isHexDigit), let byte = UInt8(part, radix: 16) else { return nil }
      number = number << 8 | UInt64(byte)
    }
    self.init(rawValue: number)
  }

  /// One of the range that is Xen's own, 00:16:3e, with the rest at random: what a toolstack gives an interface without an address.
  public static func generated() -> MACAddress { MACAddress(rawValue: 0x0016_3e00_0000 | UInt64.random(in: 0..<1 << 24)) }
}
