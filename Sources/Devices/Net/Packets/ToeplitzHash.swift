import SharedMemory

/// The hash by which network cards spread frames over queues, with one key ("RSS", Microsoft; `XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ`).
///
/// For each bit of the input that is set, the 32 bits of the key that begin at that bit are added (exclusive or). A table for each four
/// bits of the longest input does four of them at once: 4.6 KiB, made once a key.
public struct ToeplitzHash: Sendable {
  /// Bytes of a key at most: the longest input, two IPv6 addresses and two ports, and the 32 bits that begin at its last bit.
  public static let keyByteCount = 40
  /// Bytes of the longest input.
  public static let inputByteCount = 36

  private let table: [UInt32]

  /// - Parameter key: at most ``keyByteCount`` bytes; what is missing is zero.
  public init(key: [UInt8]) {
    precondition(key.count <= Self.keyByteCount, "a key of \(key.count) bytes")
    var table = [UInt32](repeating: 0, count: Self.inputByteCount * 2 * 16)
    for bit in 0..<Self.inputByteCount * 8 {
      let window = Self.window(of: key, at: bit)
      // Bit 0 of the input is the most significant one of its first four.
      let place = 8 >> (bit % 4)
      for value in 0..<16 where value & place != 0 { table[bit / 4 * 16 + value] ^= window }
    }
    self.table = table
  }

  /// The 32 bits of the key from bit `bit` on.
  private static func window(of key: [UInt8], at bit: Int) -> UInt32 {
    var bits: UInt64 = 0
    for index in bit / 8..<bit / 8 + 5 { bits = bits << 8 | UInt64(index < key.count ? key[index] : 0) }
    return UInt32(truncatingIfNeeded: bits >> UInt64(8 - bit % 8))
  }

  /// What the bytes of `range` add to a hash when they are the input's from byte `position` on.
  private func part(of bytes: SharedBytes, _ range: Range<Int>, position: Int) -> UInt32 {
    var sum: UInt32 = 0
    var place = position * 32
    for offset in range {
      let byte = Int(bytes.load8(at: offset))
      sum ^= table[place + byte >> 4] ^ table[place + 16 + byte & 15]
      place += 32
    }
    return sum
  }

  /// The hash of a frame's addresses, and of its ports if these are to be in it. Addresses come in the order source, destination: as
  /// they lie in the headers.
  /// - Parameter headers: of the frame; IPv4 or IPv6, and with TCP or UDP for `ports`.
  public func hash(of frame: Frame, _ headers: FrameHeaders, ports: Bool) -> UInt32 {
    let addresses: Range<Int>
    switch headers.network {
    case .ipv4: addresses = headers.networkOffset + 12..<headers.networkOffset + 20
    case .ipv6: addresses = headers.networkOffset + 8..<headers.networkOffset + 40
    case .none: preconditionFailure("a frame without addresses")
    }
    let sum = part(of: frame.head, addresses, position: 0)
    guard ports else { return sum }
    precondition(headers.transport != .none, "a frame without ports")
    return sum ^ part(of: frame.head, headers.transportOffset..<headers.transportOffset + 4, position: addresses.count)
  }
}
