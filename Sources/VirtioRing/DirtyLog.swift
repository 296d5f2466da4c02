public import SharedMemory

/// Which pages of the guest were written, for a VMM that is migrating it: a bit for each page of 4096 bytes, by guest address
/// (vhost-user, "Migration"). Off unless the VMM asks for it. Belongs to the loop of its ``GuestMemory``.
public final class DirtyLog {
  private var bitmap: SharedBytes?
  /// Whether writes have to be marked.
  @usableFromInline let active = FixedCell(false)

  /// Bytes of the bitmap that covers guest addresses below `end`.
  public static func byteCount(upTo end: UInt64) -> UInt64 { (end / 4096 + 7) / 8 }

  @inlinable public var isActive: Bool { active.value }

  /// Where bits go; nil: nowhere.
  public func use(_ bitmap: SharedBytes?) {
    self.bitmap = bitmap
    if bitmap == nil { active.value = false }
  }

  /// Begins or ends marking. Nothing is marked without a bitmap.
  public func setActive(_ isActive: Bool) { active.value = isActive && bitmap != nil }

  /// Marks the pages that `byteCount` bytes at a guest address touch. Pages beyond the bitmap are the VMM's loss.
  public func mark(_ guestAddress: UInt64, byteCount: UInt64) {
    guard let bitmap, byteCount > 0, guestAddress <= .max - byteCount else { return }
    let last = (guestAddress + byteCount - 1) / 4096
    var page = guestAddress / 4096
    while page <= last, page / 8 < UInt64(bitmap.byteCount) {
      let bit = Int(page % 16)
      // The VMM takes bits away meanwhile: the change has to be one step. Two bytes at a time, little-endian as the bytes are.
      let offset = Int(page / 16) * 2
      guard offset + 2 <= bitmap.byteCount else { return }
      bitmap.fetchOr16(1 << UInt16(bit), at: offset)
      page += 1
    }
  }
}
