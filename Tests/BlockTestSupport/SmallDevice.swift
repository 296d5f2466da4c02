public import BlockFront
import BlockInterface
public import XenInterface

extension BlockFrontGeometry {
  /// A device for tests, in one line.
  public static func device(
    sectorCount: UInt64, sectorByteCount: Int = 512, info: VdiskInfo = [], flushes: Bool = false, hasBarriers: Bool = false,
    discards: Bool = false
  ) -> BlockFrontGeometry {
    BlockFrontGeometry(
      geometry: BlockGeometry(sectorCount: sectorCount, sectorByteCount: sectorByteCount, info: info), flushes: flushes,
      hasBarriers: hasBarriers, discard: discards ? BlockDiscardLimits() : nil)
  }
}
