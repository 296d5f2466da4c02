public import BlockInterface
import XenInterface

/// What the device is and does, as the connected back-end says. Checked: nothing here is to be checked again.
public struct BlockFrontGeometry: Sendable, Equatable {
  /// Size, sector sizes, attributes.
  public var geometry: BlockGeometry
  /// Completed writes may be in a volatile cache until a flush (`feature-flush-cache`).
  public var flushes: Bool
  /// The same by the older operation (`feature-barrier`).
  public var hasBarriers: Bool
  /// What can be discarded; nil when nothing can (`feature-discard`).
  public var discard: BlockDiscardLimits?

  public init(geometry: BlockGeometry, flushes: Bool = false, hasBarriers: Bool = false, discard: BlockDiscardLimits? = nil) {
    self.geometry = geometry
    self.flushes = flushes
    self.hasBarriers = hasBarriers
    self.discard = discard
  }

  /// Size in 512-byte units whatever the sector size.
  public var sectorCount: UInt64 { geometry.sectorCount }
  /// Size in bytes.
  public var byteCount: UInt64 { geometry.byteCount }
  /// Logical sector in bytes, 512 to 4096: offsets and lengths are multiples of it.
  public var sectorByteCount: Int { geometry.sectorByteCount }
  public var isReadOnly: Bool { geometry.isReadOnly }

  /// Why an operation cannot be sent; nil when it can.
  func refusal(_ operation: BlkifOperation, offset: UInt64, byteCount count: UInt64) -> BlockFrontError? {
    let unit = UInt64(sectorByteCount)
    guard offset % unit == 0, count % unit == 0 else { return .unaligned(offset: offset, byteCount: count, sectorByteCount: sectorByteCount) }
    guard offset <= byteCount, count <= byteCount - offset else {
      return .outOfRange(offset: offset, byteCount: count, deviceByteCount: byteCount)
    }
    if isReadOnly, operation == .write || operation == .discard { return .readOnly(operation) }
    if operation == .discard, discard == nil { return .unsupported(.discard) }
    return nil
  }
}
