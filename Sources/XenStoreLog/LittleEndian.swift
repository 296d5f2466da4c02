/// Numbers in files are little-endian.
extension [UInt8] {
  mutating func append<Value: FixedWidthInteger>(number value: Value) {
    var value = value
    for _ in 0..<(Value.bitWidth / 8) {
      append(UInt8(truncatingIfNeeded: value))
      if Value.bitWidth > 8 { value >>= 8 }
    }
  }

  mutating func set<Value: FixedWidthInteger>(number value: Value, at offset: Int) {
    var value = value
    for index in 0..<(Value.bitWidth / 8) {
      self[offset + index] = UInt8(truncatingIfNeeded: value)
      if Value.bitWidth > 8 { value >>= 8 }
    }
  }

  /// The number at `offset`, which with all its bytes must be within the array.
  func number<Value: FixedWidthInteger>(at offset: Int, as type: Value.Type = Value.self) -> Value {
    var value: Value = 0
    for index in (0..<(Value.bitWidth / 8)).reversed() {
      if Value.bitWidth > 8 { value <<= 8 }
      value |= Value(truncatingIfNeeded: self[offset + index])
    }
    return value
  }
}

/// Takes a record apart from its front. Once something is missing, everything behind it is too.
struct RecordReader {
  private let bytes: [UInt8]
  private let end: Int
  private(set) var position: Int

  init(_ bytes: [UInt8], in range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  var isAtEnd: Bool { position == end }

  mutating func number<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value? {
    guard end - position >= Value.bitWidth / 8 else { return nil }
    defer { position += Value.bitWidth / 8 }
    return bytes.number(at: position)
  }

  mutating func slice(count: Int) -> ArraySlice<UInt8>? {
    guard count >= 0, end - position >= count else { return nil }
    defer { position += count }
    return bytes[position..<(position + count)]
  }
}
