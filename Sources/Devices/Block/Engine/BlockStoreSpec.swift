public import EventLoop

/// What backs a disk, and how.
public struct BlockStoreSpec: Sendable, Equatable {
  public enum Backing: Sendable, Equatable {
    /// An image file or a block device of the host.
    case file(path: String)
    /// Memory of this process; its contents end with it.
    case memory(byteCount: UInt64)
    /// Nothing: every request succeeds at once, and reads leave the buffer as it is.
    case null(byteCount: UInt64)
    /// A program that is called once for each read and write.
    case script(path: String)
  }

  public var backing: Backing
  public var isReadOnly: Bool
  /// Go around the page cache (`O_DIRECT`) where the file system can.
  public var isDirect: Bool
  /// Logical sector size in bytes, 512 or 4096; nil: 512, or what the file asks for.
  public var sectorByteCount: Int?
  /// How much may be done with it.
  public var rate: BlockRate

  public init(
    _ backing: Backing, isReadOnly: Bool = false, isDirect: Bool = true, sectorByteCount: Int? = nil, rate: BlockRate = BlockRate()
  ) {
    self.backing = backing
    self.isReadOnly = isReadOnly
    self.isDirect = isDirect
    self.sectorByteCount = sectorByteCount
    self.rate = rate
  }
}
