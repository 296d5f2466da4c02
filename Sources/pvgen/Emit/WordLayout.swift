/// The layout of one record for one ABI, in terms of the words that a copy of it is made of.
struct WordLayout {
  let record: Record
  let abi: ABI
  let description: ProtocolDescription
  let wordBits: Int

  init(_ record: Record, _ abi: ABI, _ description: ProtocolDescription) {
    self.record = record
    self.abi = abi
    self.description = description
    wordBits = record.wordBits(abi, in: description)
  }

  var byteCount: Int { record.sizes[abi] ?? 0 }
  var wordBytes: Int { wordBits / 8 }
  var wordCount: Int { byteCount / wordBytes }
  var wordType: String { "UInt\(wordBits)" }
  var swiftName: String { record.swiftName(abi) }

  func offset(_ field: Record.Field) -> Int { field.offsets[abi] ?? 0 }

  /// Layout of a field's type when that is a record.
  func element(_ field: Record.Field) -> WordLayout? {
    guard case .record(let name) = field.type, let record = description.record(named: name) else { return nil }
    return WordLayout(record, record.distinctABIs.contains(abi) ? abi : .x8664, description)
  }

  /// Swift expression for the bits of an integer at `offset`, with its own unsigned type.
  func read(byteCount: Int, at offset: Int) -> String {
    let bits = byteCount * 8
    let first = offset / wordBytes
    let shift = offset % wordBytes * 8
    if bits == wordBits { return "words[\(first)]" }
    if bits > wordBits { return "UInt64(words[\(first)]) | UInt64(words[\(first + 1)]) &<< 32" }
    let shifted = shift == 0 ? "words[\(first)]" : "words[\(first)] &>> \(shift)"
    return "UInt\(bits)(truncatingIfNeeded: \(shifted))"
  }

  /// Swift statements that replace the bits of an integer at `offset` by `value`, an expression of its unsigned type.
  func write(_ value: String, byteCount: Int, at offset: Int) -> [String] {
    let bits = byteCount * 8
    let first = offset / wordBytes
    let shift = offset % wordBytes * 8
    if bits == wordBits { return ["words[\(first)] = \(value)"] }
    if bits > wordBits {
      return [
        "words[\(first)] = UInt32(truncatingIfNeeded: \(value))", "words[\(first + 1)] = UInt32(truncatingIfNeeded: \(value) &>> 32)",
      ]
    }
    let mask = ((UInt64(1) << UInt64(bits)) - 1) << UInt64(shift)
    let keep = wordBits == 64 ? ~mask : ~mask & 0xFFFF_FFFF
    let placed = shift == 0 ? "\(wordType)(\(value))" : "\(wordType)(\(value)) &<< \(shift)"
    return ["words[\(first)] = words[\(first)] & 0x\(String(keep, radix: 16)) | \(placed)"]
  }
}
