public import XenInterface
public import Xenbus

/// Size and access of a block device: what a back-end publishes with state Connected, and again after a resize.
public struct BlockGeometry: Sendable, Equatable {
  /// Size in 512-byte sectors, whatever the sector size (`sectors`).
  public var sectorCount: UInt64
  /// Logical sector size in bytes, a power of two of at least 512 (`sector-size`): offsets and lengths are multiples of it.
  public var sectorByteCount: Int
  /// Physical sector size in bytes, a multiple of the logical one (`physical-sector-size`): writes of less cost more.
  public var physicalSectorByteCount: Int
  /// Attributes of the device (`info`).
  public var info: VdiskInfo

  public init(sectorCount: UInt64, sectorByteCount: Int = 512, physicalSectorByteCount: Int? = nil, info: VdiskInfo = []) {
    self.sectorCount = sectorCount
    self.sectorByteCount = sectorByteCount
    self.physicalSectorByteCount = physicalSectorByteCount ?? sectorByteCount
    self.info = info
  }

  /// Writes and discards are refused.
  public var isReadOnly: Bool { info.contains(.readOnly) }

  /// Size in bytes.
  public var byteCount: UInt64 { sectorCount * 512 }
}

// MARK: - In the store

extension BlockGeometry {
  /// The keys for the back-end's directory.
  public var keys: [String: String] {
    [
      BlkifKeys.Backend.sectorCount.name: BlkifKeys.Backend.sectorCount.format(sectorCount),
      BlkifKeys.Backend.sectorSize.name: BlkifKeys.Backend.sectorSize.format(UInt32(sectorByteCount)),
      BlkifKeys.Backend.physicalSectorSize.name: BlkifKeys.Backend.physicalSectorSize.format(UInt32(physicalSectorByteCount)),
      BlkifKeys.Backend.info.name: BlkifKeys.Backend.info.format(info),
    ]
  }

  /// What `backend` published. Throws when a key is malformed, or says what no device can have.
  public init(reading backend: XenbusDirectory) throws(XenbusKeyError) {
    let sectors = try backend.value(BlkifKeys.Backend.sectorCount)
    let logical = try backend.value(BlkifKeys.Backend.sectorSize)
    let physical = try backend.valueIfPresent(BlkifKeys.Backend.physicalSectorSize) ?? logical
    guard sectors <= BlockLimits.sectorCount else {
      throw backend.error(BlkifKeys.Backend.sectorCount.name, expected: "at most \(BlockLimits.sectorCount) sectors")
    }
    guard logical.nonzeroBitCount == 1 else { throw backend.error(BlkifKeys.Backend.sectorSize.name, expected: "a power of two") }
    guard physical % logical == 0 else {
      throw backend.error(BlkifKeys.Backend.physicalSectorSize.name, expected: "a multiple of the sector size \(logical)")
    }
    self.init(
      sectorCount: sectors, sectorByteCount: Int(logical), physicalSectorByteCount: Int(physical),
      info: try backend.value(BlkifKeys.Backend.info))
  }
}
