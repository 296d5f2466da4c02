import BlockInterface
import XenInterface
import Xenbus

extension BlockFrontConnection.Shape {
  /// What both ends can do, from the back-end's keys and our wishes.
  /// - Throws: `XenbusKeyError` for a key that is malformed.
  init(backend: XenbusDirectory, configuration: BlockFrontConfiguration) throws(XenbusKeyError) {
    let offered = try BlockFeatures(reading: backend)
    self.init(
      queueCount: max(1, min(configuration.queueCount, offered.maximumQueueCount, BlockLimits.queueCount)),
      ringPageOrder: max(0, min(configuration.ringPageOrder, offered.maximumRingPageOrder, BlockLimits.ringPageOrder)),
      maximumIndirectSegments: min(configuration.maximumSegmentCount, offered.maximumIndirectSegmentCount),
      isPersistent: offered.persistentGrants && configuration.usesPersistentGrants,
      dataPageCount: configuration.dataPageCount)
  }
}

extension BlockFrontGeometry {
  /// What the connected back-end says.
  /// - Throws: `XenbusKeyError` for a key that is missing, malformed, or says what this front-end cannot use.
  init(backend: XenbusDirectory) throws(XenbusKeyError) {
    var geometry = try BlockGeometry(reading: backend)
    // A segment is within a page, so a larger sector could not be one segment (xen/include/public/io/blkif.h, `seg`).
    guard geometry.sectorByteCount >= BlkifLimits.sectorByteCount, geometry.sectorByteCount <= pageByteCount else {
      throw backend.error(BlkifKeys.Backend.sectorSize.name, expected: "a power of two from 512 to 4096")
    }
    // A size that is no multiple of the sector size has a tail that cannot be addressed.
    geometry.sectorCount -= geometry.sectorCount % UInt64(geometry.sectorByteCount / BlkifLimits.sectorByteCount)
    let offered = try BlockFeatures(reading: backend)
    self.init(geometry: geometry, flushes: offered.flush, hasBarriers: offered.barrier, discard: offered.discard)
  }
}
