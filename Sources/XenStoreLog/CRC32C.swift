/// The checksum of records on disk: CRC-32C (Castagnoli), which finds every error burst of up to 32 bits.
struct CRC32C {
  private static let polynomial: UInt32 = 0x82F6_3B78

  /// Eight tables of 256: table *t* has what a byte does to the sum when *t* bytes follow it, so that eight bytes are done at a time.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var sum = UInt32(byte)
      for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ polynomial : sum >> 1 }
      tables[byte] = sum
    }
    for index in 256..<tables.count {
      let before = tables[index - 256]
      tables[index] = before >> 8 ^ tables[Int(before & 0xFF)]
    }
    return tables
  }()

  private var sum: UInt32 = .max

  var value: UInt32 { ~sum }

  /// Adds the bytes in `range`.
  mutating func add(_ bytes: borrowing Span<UInt8>, in range: Range<Int>) {
    let storage = CRC32C.tables
    let tables = storage.span
    var sum = sum
    var index = range.lowerBound
    while index + 8 <= range.upperBound {
      let low = sum ^ CRC32C.word(bytes, index)
      let high = CRC32C.word(bytes, index + 4)
      let nearer = tables[7 << 8 | Int(low & 0xFF)] ^ tables[6 << 8 | Int(low >> 8 & 0xFF)] ^ tables[5 << 8 | Int(low >> 16 & 0xFF)]
        ^ tables[4 << 8 | Int(low >> 24)]
      let farther = tables[3 << 8 | Int(high & 0xFF)] ^ tables[2 << 8 | Int(high >> 8 & 0xFF)] ^ tables[1 << 8 | Int(high >> 16 & 0xFF)]
        ^ tables[Int(high >> 24)]
      sum = nearer ^ farther
      index += 8
    }
    while index < range.upperBound {
      sum = sum >> 8 ^ tables[Int((sum ^ UInt32(bytes[index])) & 0xFF)]
      index += 1
    }
    self.sum = sum
  }

  private static func word(_ bytes: borrowing Span<UInt8>, _ index: Int) -> UInt32 {
    UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2]) << 16 | UInt32(bytes[index + 3]) << 24
  }

  /// The checksum of `bytes` in `range`.
  static func of(_ bytes: [UInt8], in range: Range<Int>) -> UInt32 {
    var sum = CRC32C()
    sum.add(bytes.span, in: range)
    return sum.value
  }
}
