public import VirtioInterface

/// Places in the parts of a split virtqueue, in bytes (`struct vring_avail`, `struct vring_used`, linux/virtio_ring.h; virtio 1.2, 2.7).
@usableFromInline enum SplitLayout {
  /// Of both rings.
  @inlinable static var flags: Int { VirtqueueUsedLayout.flagsOffset }
  @inlinable static var index: Int { VirtqueueUsedLayout.indexOffset }
  @inlinable static var firstEntry: Int { VirtqueueUsedLayout.firstEntryOffset }

  @inlinable static func availableEntry(_ position: Int) -> Int { firstEntry + position * 2 }
  @inlinable static func usedEntry(_ position: Int) -> Int { firstEntry + position * 8 }
  /// `used_event`, behind the available ring: the driver wants to be called when the used index passes it.
  @inlinable static func usedEvent(_ entryCount: Int) -> Int { firstEntry + entryCount * 2 }
  /// `avail_event`, behind the used ring: the device wants a kick when the available index passes it.
  @inlinable static func availableEvent(_ entryCount: Int) -> Int { firstEntry + entryCount * 8 }

  static func driverByteCount(_ entryCount: Int) -> Int { usedEvent(entryCount) + 2 }
  static func deviceByteCount(_ entryCount: Int) -> Int { availableEvent(entryCount) + 2 }

  /// `VRING_AVAIL_F_NO_INTERRUPT` and `VRING_USED_F_NO_NOTIFY`.
  @inlinable static var suppressed: UInt16 { VirtqueueUsedFlags.noNotify.rawValue }
}

/// Bits of a descriptor's flags, as numbers.
@usableFromInline enum DescriptorFlags {
  @inlinable static var next: UInt16 { VirtqueueDescriptorFlags.next.rawValue }
  @inlinable static var write: UInt16 { VirtqueueDescriptorFlags.write.rawValue }
  @inlinable static var indirect: UInt16 { VirtqueueDescriptorFlags.indirect.rawValue }
  @inlinable static var available: UInt16 { VirtqueueDescriptorFlags.available.rawValue }
  @inlinable static var used: UInt16 { VirtqueueDescriptorFlags.used.rawValue }
}

/// What a side of a packed queue says in its event suppression, as numbers.
@usableFromInline enum PackedEvent {
  @inlinable static var enable: UInt16 { VirtqueueEventKind.always.rawValue }
  @inlinable static var disable: UInt16 { VirtqueueEventKind.never.rawValue }
  /// At the descriptor that the first word names.
  @inlinable static var descriptor: UInt16 { VirtqueueEventKind.atPlace.rawValue }
}

/// Whether passing from `old` to `new` goes over `event` (`vring_need_event`): all free-running.
@inlinable @inline(__always) func needsEvent(_ event: UInt16, new: UInt16, old: UInt16) -> Bool {
  new &- event &- 1 < new &- old
}

/// As ``needsEvent(_:new:old:)``, for places of a packed ring: `wish` is the other side's event suppression, `old` and `new` where this
/// side's entries begin and end, `wrap` its wrap counter now.
@inlinable @inline(__always)
func packedEventIsDue(wish: UInt32, eventIndex: Bool, old: UInt16, new: UInt16, wrap: Bool, entryCount: Int) -> Bool {
  let what = UInt16(truncatingIfNeeded: wish >> 16) & 3
  if what != PackedEvent.descriptor || !eventIndex { return what != PackedEvent.disable }
  // All relative to the present round, so that passing the end counts as going on.
  var event = UInt16(truncatingIfNeeded: wish) & 0x7fff
  if (wish & 0x8000 != 0) != wrap { event &-= UInt16(entryCount) }
  return needsEvent(event, new: new, old: new > old ? old : old &- UInt16(entryCount))
}
