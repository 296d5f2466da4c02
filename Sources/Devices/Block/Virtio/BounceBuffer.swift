import SharedMemory
import VirtioRing

/// Memory of ours that a request's data goes through, because the guest's buffers are not aligned as the disk needs it.
final class BounceBuffer {
  private let bytes: SharedBytes
  /// The guest's buffers with their bytes that are data.
  private let buffers: [GuestBuffer]
  private let byteCount: Int
  private let isRead: Bool

  /// Room for `byteCount` bytes of data that lie in `buffers` behind the first `skipping` bytes. Nil when there is no memory.
  init?(_ buffers: [GuestBuffer], skipping: Int, byteCount: Int, isRead: Bool) {
    guard byteCount > 0, let region = try? SharedRegion(anonymousByteCount: (byteCount + 4095) & ~4095) else { return nil }
    bytes = region.bytes
    self.byteCount = byteCount
    self.isRead = isRead
    var skip = skipping
    var left = byteCount
    var data: [GuestBuffer] = []
    for var buffer in buffers {
      let skipped = min(skip, buffer.byteCount)
      skip -= skipped
      buffer.address += UInt(skipped)
      buffer.byteCount = min(buffer.byteCount - skipped, left)
      left -= buffer.byteCount
      if buffer.byteCount > 0 { data.append(buffer) }
    }
    self.buffers = data
  }

  /// What the engine reads or writes.
  var vector: SharedVector { bytes.vector(at: 0, byteCount: byteCount) }

  /// Takes the data of a write.
  func fill(from memory: GuestMemory) {
    var offset = 0
    for buffer in buffers {
      memory.copy(buffer, to: bytes, at: offset)
      offset += buffer.byteCount
    }
  }

  /// Gives the data of a read to the guest, and marks it as written.
  func spill(to memory: GuestMemory) {
    guard isRead else { return }
    var offset = 0
    for buffer in buffers {
      memory.copy(bytes, at: offset, to: buffer)
      if memory.dirtyLog.isActive { memory.markWritten(buffer) }
      offset += buffer.byteCount
    }
  }
}
