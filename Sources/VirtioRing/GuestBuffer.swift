public import SharedMemory

/// A stretch of guest memory that was checked to be there: one descriptor, or a part of one that lies across two regions.
@frozen public struct GuestBuffer: Sendable, Equatable {
  /// First byte, in this process's address space.
  public var address: UInt
  /// Length in bytes, above zero.
  public var byteCount: Int
  /// The region of ``GuestMemory`` that it lies in.
  public var region: Int32

  @inlinable public init(address: UInt, byteCount: Int, region: Int32) {
    self.address = address
    self.byteCount = byteCount
    self.region = region
  }

  /// By address: what a scatter-gather list is made of.
  @inlinable public var vector: SharedVector { SharedVector(address: address, byteCount: byteCount) }
}
