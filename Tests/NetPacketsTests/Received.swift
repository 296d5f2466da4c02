/// A finished frame as its receiver sees it, byte by byte: a model that shares nothing with what made it. No tags, no extension headers.
struct Received {
  let bytes: [UInt8]
  private let isV6: Bool
  private let transport: Int
  private let end: Int

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    isV6 = bytes[12] == 0x86
    transport = isV6 ? 54 : 34
    end = isV6 ? 54 + Self.number(bytes, 18) : 14 + Self.number(bytes, 16)
  }

  var lengthIsRight: Bool { end == bytes.count }
  var sequence: UInt32 { UInt32(Self.number(bytes, transport + 4)) << 16 | UInt32(Self.number(bytes, transport + 6)) }
  var flags: UInt8 { bytes[transport + 13] }
  var identification: UInt16 { UInt16(Self.number(bytes, 18)) }
  var payload: [UInt8] { Array(bytes[(transport + 20)..<end]) }
  /// What UDP says of its length, and what is in it.
  var datagramLength: Int { Self.number(bytes, transport + 4) }
  var datagram: [UInt8] { Array(bytes[(transport + 8)..<end]) }
  var networkChecksumIsRight: Bool { isV6 || Self.sum(bytes[14..<34]) == 0xffff }

  /// RFC 793: the pseudo header, the header and the payload add up to all ones.
  var checksumIsRight: Bool {
    let count = end - transport
    let pseudo = (isV6 ? bytes[22..<54] : bytes[26..<34]) + [0, bytes[isV6 ? 20 : 23]] + bigEndian(count)
    return Self.sum(pseudo + bytes[transport..<end]) == 0xffff
  }

  private static func number(_ bytes: [UInt8], _ offset: Int) -> Int { Int(bytes[offset]) << 8 | Int(bytes[offset + 1]) }

  private static func sum(_ bytes: ArraySlice<UInt8>) -> Int {
    var sum = 0
    for (index, byte) in bytes.enumerated() { sum += index.isMultiple(of: 2) ? Int(byte) << 8 : Int(byte) }
    while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
    return sum
  }
}

func bigEndian(_ number: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: number >> 8), UInt8(truncatingIfNeeded: number)] }

/// An IPv4 header with the length of what follows it, and its own checksum left out.
func ipv4(_ transport: UInt8, payload: Int) -> [UInt8] {
  var header = ipv4(transport)
  header.replaceSubrange(2..<4, with: bigEndian(20 + payload))
  return header
}

func ipv6(_ next: UInt8, payload: Int) -> [UInt8] {
  var header = ipv6(next)
  header.replaceSubrange(4..<6, with: bigEndian(payload))
  return header
}
