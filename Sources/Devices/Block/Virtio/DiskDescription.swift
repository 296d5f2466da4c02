import BlockInterface
import VirtioInterface
import XenInterface

/// What a guest is told of the disk: the configuration space, and the features that give its fields a meaning.
struct DiskDescription: Equatable {
  var geometry: BlockGeometry
  var queueCount: Int
  var supportsDiscard: Bool
  var discardGranularity: UInt32

  /// Data buffers of one request.
  static let segmentLimit = 254
  /// Sectors of one discard or write-zeroes request: 2 GiB, so that the device does not take too long over one.
  static let rangeSectorLimit: UInt32 = 1 << 22

  /// The cache's mode cannot be changed by the guest, so that bit is not offered: with `flush`, the driver takes it for a write-back one.
  var features: VirtioFeatures {
    var features: VirtioBlockFeatures = [.maximumSegmentCount, .blockSize, .topology, .flush, .multipleQueues]
    if geometry.isReadOnly { features.insert(.readOnly) } else { features.insert(.writeZeroes) }
    if supportsDiscard { features.insert(.discard) }
    return VirtioFeatures(rawValue: features.rawValue)
  }

  var configuration: VirtioBlockConfiguration {
    let perPhysicalBlock = max(1, geometry.physicalSectorByteCount / geometry.sectorByteCount)
    var space = VirtioBlockConfiguration()
    space.capacity = geometry.sectorCount
    space.segmentCountMaximum = UInt32(Self.segmentLimit)
    space.blockByteCount = UInt32(geometry.sectorByteCount)
    space.physicalBlockExponent = UInt8(perPhysicalBlock.trailingZeroBitCount)
    space.minimumTransferBlockCount = UInt16(perPhysicalBlock)
    space.isWriteBack = 1
    space.queueCount = UInt16(queueCount)
    if supportsDiscard {
      space.discardSectorCountMaximum = Self.rangeSectorLimit
      space.discardSegmentCountMaximum = 1
      space.discardSectorAlignment = max(discardGranularity, UInt32(geometry.sectorByteCount)) / 512
      space.writeZeroesMayUnmap = 1
    }
    if !geometry.isReadOnly {
      space.writeZeroesSectorCountMaximum = Self.rangeSectorLimit
      space.writeZeroesSegmentCountMaximum = 1
    }
    return space
  }

  /// As the guest reads it.
  var bytes: [UInt8] { WireBytes(configuration).bytes }
}
