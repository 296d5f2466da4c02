/// Private bytes as a source and sink of wire records: for packets, tools and tests, not for memory that a peer can write.
///
/// Access outside the bytes traps: check the length of what a peer sent before copying a record out of it.
///
/// ```swift
/// let packet = WireBytes(received)
/// let header = XenStoreHeader(copying: packet, at: 0)
/// ```
public final class WireBytes: WireSource, WireSink {
  /// The bytes, in wire order.
  public private(set) var bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// `byteCount` zero bytes.
  public init(byteCount: Int) { bytes = Array(repeating: 0, count: byteCount) }

  /// The bytes of `record`.
  public convenience init<Record: WireRecord>(_ record: Record) {
    self.init(byteCount: Record.byteCount)
    record.store(to: self, at: 0)
  }

  public func loadWord64(at offset: Int) -> UInt64 { load(UInt64.self, at: offset) }

  public func loadWord32(at offset: Int) -> UInt32 { load(UInt32.self, at: offset) }

  public func storeWord64(_ word: UInt64, at offset: Int) { store(word, at: offset) }

  public func storeWord32(_ word: UInt32, at offset: Int) { store(word, at: offset) }

  private func load<Word: FixedWidthInteger>(_ type: Word.Type, at offset: Int) -> Word {
    var word: Word = 0
    for index in (0..<Word.bitWidth / 8).reversed() { word = word << 8 | Word(bytes[offset + index]) }
    return word
  }

  private func store<Word: FixedWidthInteger>(_ word: Word, at offset: Int) {
    for index in 0..<Word.bitWidth / 8 { bytes[offset + index] = UInt8(truncatingIfNeeded: word >> (index * 8)) }
  }
}
