/// Number of a block device of the host, as the `physical-device` key spells it: `major:minor`, hexadecimal.
public struct DeviceNumber: Hashable, Sendable {
  public var major: UInt32
  public var minor: UInt32

  public init(major: UInt32, minor: UInt32) {
    self.major = major
    self.minor = minor
  }
}

extension DeviceNumber: StoreValue {
  public init?(storeText: String) {
    let parts = storeText.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ $0.utf8.allSatisfy(DeviceNumber.isHexadecimalDigit) }),
      let major = UInt32(parts[0], radix: 16), let minor = UInt32(parts[1], radix: 16)
    else { return nil }
    self.init(major: major, minor: minor)
  }

  public var storeText: String { String(major, radix: 16) + ":" + String(minor, radix: 16) }
  public static var storeExpectation: String { "two hexadecimal numbers, major:minor" }

  /// `UInt32(_:radix:)` alone would take a leading sign.
  private static func isHexadecimalDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): true
    default: false
    }
  }
}
