public import XenInterface

/// Sizes that both ends of a block device keep to, whatever the other end offers. What the wire format itself limits is in `BlkifLimits`.
public enum BlockLimits: Sendable {
  /// Largest ring: 16 pages, 512 entries (`XENBUS_MAX_RING_GRANT_ORDER`, Linux).
  @inlinable public static var ringPageOrder: Int { 4 }

  /// Most queues of one device; a back-end offers at most this many (`multi-queue-max-queues`).
  @inlinable public static var queueCount: Int { 64 }

  /// Most segments of an indirect request, all that the wire format has room for (16 MiB).
  @inlinable public static var indirectSegmentCount: Int { BlkifLimits.segmentsPerIndirectRequest }

  /// Segments that a back-end offers in an indirect request unless told otherwise: 1 MiB of whole pages, as Linux does.
  @inlinable public static var defaultIndirectSegmentCount: Int { 256 }

  /// Largest device in sectors of 512 bytes: its size in bytes fits a file offset.
  @inlinable public static var sectorCount: UInt64 { UInt64(Int64.max) / 512 }
}
