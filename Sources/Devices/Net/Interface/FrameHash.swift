public import XenInterface

/// The hash of a frame's headers, as an extra info carries it.
@frozen public struct FrameHash: Sendable, Equatable {
  /// Which headers it was made of.
  public var type: NetifHashType
  public var algorithm: NetifHashAlgorithm
  public var value: UInt32

  @inlinable public init(type: NetifHashType, algorithm: NetifHashAlgorithm = .toeplitz, value: UInt32) {
    self.type = type
    self.algorithm = algorithm
    self.value = value
  }

  /// The hash that `extra` carries; nil when it was made in a way that we do not know, which is no mistake of the sender.
  @inlinable public init?(_ extra: NetifExtraHash) {
    guard let type = NetifHashType(rawValue: extra.hashType), let algorithm = NetifHashAlgorithm(rawValue: extra.algorithm),
      algorithm != .none
    else { return nil }
    self.init(type: type, algorithm: algorithm, value: extra.value)
  }
}
