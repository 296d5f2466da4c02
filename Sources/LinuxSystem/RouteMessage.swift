/// How requests on interfaces are written and their answers read (linux/netlink.h, linux/rtnetlink.h, linux/if_link.h). Numbers
/// are in the machine's order, which is little-endian wherever this runs.
enum RouteMessage {
  /// `struct nlmsghdr` and `struct ifinfomsg`.
  static let headerByteCount = 16, linkByteCount = 16

  // Message types, flags.
  static let error: UInt16 = 2
  static let newLink: UInt16 = 16, deleteLink: UInt16 = 17, getLink: UInt16 = 18
  static let request: UInt16 = 1, acknowledge: UInt16 = 4
  /// `IFF_UP` (linux/if.h).
  static let flagUp: UInt32 = 1

  // Attributes: `IFLA_…`, `IFLA_INFO_…`, `IFLA_TUN_…`.
  static let linkAddress: UInt16 = 1, linkName: UInt16 = 3, linkMTU: UInt16 = 4, linkInformation: UInt16 = 18
  static let linkStatistics: UInt16 = 23, linkCarrier: UInt16 = 33
  static let informationKind: UInt16 = 1, informationData: UInt16 = 2
  static let tunType: UInt16 = 3, tunPersistent: UInt16 = 6, tunMultiQueue: UInt16 = 7, tunQueueCount: UInt16 = 8, tunDisabledQueueCount: UInt16 = 9

  static func number16(_ bytes: [UInt8], at offset: Int) -> UInt16 { UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8 }

  static func number32(_ bytes: [UInt8], at offset: Int) -> UInt32 {
    UInt32(number16(bytes, at: offset)) | UInt32(number16(bytes, at: offset + 2)) << 16
  }

  /// A text that may end with a zero byte.
  static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }

  /// Calls `body` with each attribute's type and the range of its value; stops at one that does not fit.
  static func forEachAttribute(of bytes: [UInt8], in range: Range<Int>, _ body: (UInt16, Range<Int>) -> Void) {
    var position = range.lowerBound
    while position + 4 <= range.upperBound {
      let length = Int(number16(bytes, at: position))
      guard length >= 4, position + length <= range.upperBound else { return }
      // The two upper bits say how the value is encoded (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`).
      body(number16(bytes, at: position + 2) & 0x3FFF, position + 4..<position + length)
      position += (length + 3) & ~3
    }
  }

  /// A request on an interface, without its length.
  static func link(_ type: UInt16, flags: UInt16, sequence: UInt32, index: Int32, interfaceFlags: UInt32 = 0, change: UInt32 = 0) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: headerByteCount + linkByteCount)
    set(UInt32(type) | UInt32(flags) << 16, in: &bytes, at: 4)
    set(sequence, in: &bytes, at: 8)
    set(UInt32(bitPattern: index), in: &bytes, at: headerByteCount + 4)
    set(interfaceFlags, in: &bytes, at: headerByteCount + 8)
    set(change, in: &bytes, at: headerByteCount + 12)
    return bytes
  }

  static func append(_ type: UInt16, _ value: [UInt8], to bytes: inout [UInt8]) {
    let length = 4 + value.count
    bytes += [UInt8(truncatingIfNeeded: length), UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: type), UInt8(truncatingIfNeeded: type >> 8)]
    bytes += value
    bytes += [UInt8](repeating: 0, count: -length & 3)
  }

  static func append(_ type: UInt16, _ value: UInt32, to bytes: inout [UInt8]) {
    append(type, (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32($0 * 8)) }, to: &bytes)
  }

  static func set(_ value: UInt32, in bytes: inout [UInt8], at offset: Int) {
    for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(index * 8)) }
  }
}
