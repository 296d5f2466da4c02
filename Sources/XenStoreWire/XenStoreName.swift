/// One name of a path, such as `domain` or `51712`: what a node is called below its parent.
///
/// Names are looked up on every request, so the first 16 bytes lie in two words that compare at once and in the order of the bytes;
/// only a longer name has memory of its own.
@frozen public struct XenStoreName: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// Bytes that need no memory.
  @usableFromInline static var inlineByteCount: Int { 16 }

  /// Bytes 0 to 7 and 8 to 15, the first in the highest place; zero where the name is shorter, which no byte of a name is.
  @usableFromInline let first: UInt64
  @usableFromInline let second: UInt64
  /// The bytes behind them; nil when there are none, for a reference to nothing is copied for nothing.
  @usableFromInline let rest: [UInt8]?

  /// The name in `bytes`, which must be one of a path that was checked.
  @inlinable init(validBytes bytes: Span<UInt8>, in range: Range<Int>) {
    var words: (UInt64, UInt64) = (0, 0)
    let firstEnd = min(range.upperBound, range.lowerBound + 8)
    for index in range.lowerBound..<firstEnd { words.0 = words.0 << 8 | UInt64(bytes[index]) }
    words.0 <<= 8 * (8 - (firstEnd - range.lowerBound))
    let secondEnd = min(range.upperBound, range.lowerBound + XenStoreName.inlineByteCount)
    if firstEnd < secondEnd {
      for index in firstEnd..<secondEnd { words.1 = words.1 << 8 | UInt64(bytes[index]) }
      words.1 <<= 8 * (8 - (secondEnd - firstEnd))
    }
    (first, second) = words
    rest = secondEnd < range.upperBound ? (secondEnd..<range.upperBound).map { bytes[$0] } : nil
  }

  /// Bytes of the name.
  @inlinable public var byteCount: Int {
    if let rest { return XenStoreName.inlineByteCount + rest.count }
    return second != 0 ? 16 - second.trailingZeroBitCount / 8 : 8 - min(8, first.trailingZeroBitCount / 8)
  }

  /// Appends the name's bytes to `output`.
  @inlinable public func append(to output: inout [UInt8]) {
    XenStoreName.append(first, to: &output)
    XenStoreName.append(second, to: &output)
    if let rest { output.append(contentsOf: rest) }
  }

  @inlinable static func append(_ word: UInt64, to output: inout [UInt8]) {
    var word = word
    while word != 0 {
      output.append(UInt8(truncatingIfNeeded: word >> 56))
      word <<= 8
    }
  }

  /// The name as text, always ASCII.
  public var text: String {
    var bytes: [UInt8] = []
    append(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  public var description: String { text }

  @inlinable public static func == (left: XenStoreName, right: XenStoreName) -> Bool {
    left.first == right.first && left.second == right.second && left.rest == right.rest
  }

  /// Orders by bytes.
  @inlinable public static func < (left: XenStoreName, right: XenStoreName) -> Bool {
    if left.first != right.first { return left.first < right.first }
    if left.second != right.second { return left.second < right.second }
    guard let rest = right.rest else { return false }
    return left.rest?.lexicographicallyPrecedes(rest) ?? true
  }
}
