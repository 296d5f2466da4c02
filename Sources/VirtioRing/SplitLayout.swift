/// Places in the parts of a split virtqueue, in bytes (`struct vring_avail`, `struct vring_used`, linux/virtio_ring.h; virtio 1.2, 2.7).
@usableFromInline enum SplitLayout {
  /// Of both rings.
  @usableFromInline static let flags = 0
  @usableFromInline static let index = 2
  @usableFromInline static let firstEntry = 4

  @inlinable static func availableEntry(_ position: Int) -> Int { firstEntry + position * 2 }
  @inlinable static func usedEntry(_ position: Int) -> Int { firstEntry + position * 8 }
  /// `used_event`, behind the available ring: the driver wants to be called when the used index passes it.
  @inlinable static func usedEvent(_ entryCount: Int) -> Int { firstEntry + entryCount * 2 }
  /// `avail_event`, behind the used ring: the device wants a kick when the available index passes it.
  @inlinable static func availableEvent(_ entryCount: Int) -> Int { firstEntry + entryCount * 8 }

  static func driverByteCount(_ entryCount: Int) -> Int { usedEvent(entryCount) + 2 }
  static func deviceByteCount(_ entryCount: Int) -> Int { availableEvent(entryCount) + 2 }

  /// `VRING_AVAIL_F_NO_INTERRUPT` and `VRING_USED_F_NO_NOTIFY`.
  @usableFromInline static let suppressed: UInt16 = 1
}

/// Bits of a descriptor's flags (`VRING_DESC_F_*`, `VRING_PACKED_DESC_F_*`).
@usableFromInline enum DescriptorFlags {
  @usableFromInline static let next: UInt16 = 1
  @usableFromInline static let write: UInt16 = 2
  @usableFromInline static let indirect: UInt16 = 4
  @usableFromInline static let available: UInt16 = 1 << 7
  @usableFromInline static let used: UInt16 = 1 << 15
}

/// Whether passing from `old` to `new` goes over `event` (`vring_need_event`): all free-running.
@inlinable @inline(__always) func needsEvent(_ event: UInt16, new: UInt16, old: UInt16) -> Bool {
  new &- event &- 1 < new &- old
}
