import VirtioInterface

extension VirtioBlockHeader {
  /// From the two words at the start of a chain, as they were copied.
  @inline(__always) init(first: UInt64, second: UInt64) {
    self.init()
    type = UInt32(truncatingIfNeeded: first)
    sectorNumber = second
  }
}

extension VirtioBlockSegment {
  /// From the two words behind the header, as they were copied.
  init(first: UInt64, second: UInt64) {
    self.init()
    sectorNumber = first
    sectorCount = UInt32(truncatingIfNeeded: second)
    flags = UInt32(truncatingIfNeeded: second >> 32)
  }
}
