import BlockInterface
import VirtioInterface

/// The configuration space of a disk (`struct virtio_blk_config`), and the features that give its fields a meaning.
struct VirtioBlockConfiguration: Equatable {
  var geometry: BlockGeometry
  var queueCount: Int
  var supportsDiscard: Bool
  var discardGranularity: UInt32

  /// Data buffers of one request.
  static let segmentLimit = 254
  /// Sectors of one discard or write-zeroes request: 2 GiB, so that the device does not take too long over one.
  static let rangeSectorLimit: UInt32 = 1 << 22

  var features: VirtioFeatures {
    var features: VirtioFeatures = [.segmentLimit, .blockSize, .topology, .flush, .multipleQueues]
    if geometry.isReadOnly { features.insert(.readOnly) } else { features.insert(.writeZeroes) }
    if supportsDiscard { features.insert(.discard) }
    return features
  }

  var bytes: [UInt8] {
    let perPhysicalBlock = max(1, geometry.physicalSectorByteCount / geometry.sectorByteCount)
    var bytes: [UInt8] = []
    func put<Word: FixedWidthInteger>(_ word: Word) { bytes += (0..<Word.bitWidth / 8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
    put(geometry.sectorCount)
    put(UInt32(0))  // size_max, not offered
    put(UInt32(Self.segmentLimit))
    put(UInt32(0))  // geometry of cylinders, not offered
    put(UInt32(geometry.sectorByteCount))
    put(UInt8(perPhysicalBlock.trailingZeroBitCount))
    put(UInt8(0))  // alignment_offset
    put(UInt16(perPhysicalBlock))  // min_io_size
    put(UInt32(0))  // opt_io_size
    put(UInt8(1))  // wce: written data is in a cache until a flush. Not offered to be changed.
    put(UInt8(0))
    put(UInt16(queueCount))
    put(supportsDiscard ? Self.rangeSectorLimit : 0)  // max_discard_sectors
    put(supportsDiscard ? UInt32(1) : 0)  // max_discard_seg
    put(max(1, max(discardGranularity, UInt32(geometry.sectorByteCount)) / 512))  // discard_sector_alignment
    put(geometry.isReadOnly ? 0 : Self.rangeSectorLimit)  // max_write_zeroes_sectors
    put(geometry.isReadOnly ? 0 : UInt32(1))  // max_write_zeroes_seg
    put(UInt8(supportsDiscard ? 1 : 0))  // write_zeroes_may_unmap
    put(UInt8(0))
    put(UInt16(0))
    return bytes
  }
}

/// Feature bits of a disk (`VIRTIO_BLK_F_*`).
extension VirtioFeatures {
  static let segmentLimit = VirtioFeatures(rawValue: 1 << 2)
  static let readOnly = VirtioFeatures(rawValue: 1 << 5)
  static let blockSize = VirtioFeatures(rawValue: 1 << 6)
  static let flush = VirtioFeatures(rawValue: 1 << 9)
  static let topology = VirtioFeatures(rawValue: 1 << 10)
  static let multipleQueues = VirtioFeatures(rawValue: 1 << 12)
  static let discard = VirtioFeatures(rawValue: 1 << 13)
  static let writeZeroes = VirtioFeatures(rawValue: 1 << 14)
}
