public import SharedMemory
public import SharedRing
public import XenInterface
public import XenPlatform

/// A back-end's end of a ring together with the mapping it lies in. After ``unmap()`` it must not be used.
///
/// Belongs to one loop. The ring is in a cell, so that an access to it is not checked for overlapping others.
public final class MappedBackRing<Request: WireRecord, Response: WireRecord> {
  public let cell: FixedCell<BackRing<Request, Response>>
  private var mapping: GrantMapping?

  /// Attaches to the ring in `mapping`, whose entries have `entryByteCount` bytes: the larger of a request and a response.
  /// Throws when its indices are impossible.
  public init(_ mapping: consuming GrantMapping, entryByteCount: Int = max(Request.byteCount, Response.byteCount)) throws(RingFault) {
    cell = FixedCell(try BackRing(attaching: mapping.bytes, entryByteCount: entryByteCount))
    self.mapping = consume mapping
  }

  /// Gives the ring's pages back, whoever still holds this object.
  public func unmap() { mapping = nil }
}
