/// What a virtio-blk request begins with (`struct virtio_blk_outhdr`, linux/virtio_blk.h; virtio 1.2, 5.2.6), as it was copied.
struct VirtioBlockRequest: Equatable {
  static let byteCount = 16

  var type: UInt32
  /// In units of 512 bytes, whatever the block size.
  var sector: UInt64

  /// From the two words at the start of the first readable buffer. The upper half of the first is reserved.
  init(first: UInt64, second: UInt64) {
    type = UInt32(truncatingIfNeeded: first)
    sector = second
  }
}

/// Types of requests (`VIRTIO_BLK_T_*`).
enum VirtioBlockType {
  static let read: UInt32 = 0
  static let write: UInt32 = 1
  static let flush: UInt32 = 4
  static let identify: UInt32 = 8
  static let discard: UInt32 = 11
  static let writeZeroes: UInt32 = 13
}

/// The last byte of a request, which the device writes (`VIRTIO_BLK_S_*`).
enum VirtioBlockStatus {
  static let okay: UInt8 = 0
  static let error: UInt8 = 1
  static let unsupported: UInt8 = 2
}

/// The data of a discard or write-zeroes request (`struct virtio_blk_discard_write_zeroes`).
struct VirtioBlockRange: Equatable {
  static let byteCount = 16

  var sector: UInt64
  var sectorCount: UInt32
  var flags: UInt32

  /// `VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP`
  static let unmap: UInt32 = 1

  init(first: UInt64, second: UInt64) {
    sector = first
    sectorCount = UInt32(truncatingIfNeeded: second)
    flags = UInt32(truncatingIfNeeded: second >> 32)
  }
}
