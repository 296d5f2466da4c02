extension SharedBytes {
  /// Copies `count` bytes at `offset` out into `array`, from its element `index` on.
  public func copyOut(at offset: Int, byteCount count: Int, into array: inout [UInt8], at index: Int) {
    precondition(index >= 0 && count >= 0 && index <= array.count - count, "copy outside the array")
    // SAFETY: both ranges are checked, here and in the copy.
    unsafe array.withUnsafeMutableBytes { unsafe copyOut(at: offset, byteCount: count, to: .init(rebasing: $0[index..<index + count])) }
  }

  /// Copies `count` bytes of `array`, from its element `index` on, in at `offset`.
  public func copyIn(_ array: [UInt8], from index: Int, byteCount count: Int, at offset: Int) {
    precondition(index >= 0 && count >= 0 && index <= array.count - count, "copy outside the array")
    // SAFETY: both ranges are checked, here and in the copy.
    unsafe array.withUnsafeBytes { unsafe copyIn(.init(rebasing: $0[index..<index + count]), at: offset) }
  }
}
