/// The address of a network interface, as frames carry it: six bytes, the first one sent being the most significant of ``rawValue``.
@frozen public struct MACAddress: Sendable, Hashable {
  /// The address as a number below 2^48.
  public let rawValue: UInt64

  /// - Precondition: below 2^48.
  @inlinable public init(rawValue: UInt64) {
    precondition(rawValue >> 48 == 0, "more than six bytes")
    self.rawValue = rawValue
  }

  /// ff:ff:ff:ff:ff:ff.
  public static let broadcast = MACAddress(rawValue: 0xffff_ffff_ffff)

  /// A group of receivers, or all of them.
  @inlinable public var isMulticast: Bool { rawValue & 0x0100_0000_0000 != 0 }
}
