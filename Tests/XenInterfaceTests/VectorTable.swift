import XenInterface

/// One field of a record under its C name.
struct VectorField<Record: WireRecord>: Sendable {
  let name: String
  let byteCount: Int
  let get: @Sendable (Record) -> UInt64
  let set: @Sendable (inout Record, UInt64) -> Void

  init(
    _ name: String, byteCount: Int, get: @escaping @Sendable (Record) -> UInt64,
    set: @escaping @Sendable (inout Record, UInt64) -> Void
  ) {
    self.name = name
    self.byteCount = byteCount
    self.get = get
    self.set = set
  }

  /// Bits of the field's width.
  var mask: UInt64 { byteCount == 8 ? .max : 1 << UInt64(byteCount * 8) - 1 }
}

/// A record in one layout, with its Swift type erased.
struct VectorTable: Sendable {
  let record: String
  let abi: String
  let fieldNames: [String]
  /// What is wrong with a vector, or nothing.
  let mismatches: @Sendable (GoldenVector) -> [String]

  init<Record: WireRecord>(_ record: String, _ abi: String, _ fields: [VectorField<Record>]) {
    self.record = record
    self.abi = abi
    fieldNames = fields.map(\.name)
    mismatches = { vector in
      guard vector.bytes.count == Record.byteCount else { return ["\(vector.bytes.count) bytes, expected \(Record.byteCount)"] }
      var found: [String] = []
      let decoded = Record(copying: WireBytes(vector.bytes), at: 0)
      var encoded = Record()
      for field in fields {
        let expected = (vector.values[field.name] ?? 0) & field.mask
        if field.get(decoded) != expected { found.append("\(field.name) decodes as \(field.get(decoded)), expected \(expected)") }
        // Setting twice shows that a setter clears what was there.
        field.set(&encoded, ~expected & field.mask)
        field.set(&encoded, expected)
      }
      if WireBytes(encoded).bytes != vector.bytes { found.append("encodes as \(WireBytes(encoded).bytes)") }
      if encoded != decoded { found.append("the encoded and the decoded record differ") }
      return found + vector.values.keys.filter { name in !fields.contains { $0.name == name } }.map { "unknown field \($0)" }
    }
  }
}

/// One line of a `vectors.txt`: `RECORD ABI field=value ... = HEX`.
struct GoldenVector: Sendable, CustomStringConvertible {
  let place: String
  let record: String
  let abi: String
  let values: [String: UInt64]
  let bytes: [UInt8]

  var description: String { "\(place) \(record) \(abi)" }

  init?(_ line: String, place: String) {
    let words = line.split(separator: " ").map(String.init)
    guard words.count >= 4, words[words.count - 2] == "=", let bytes = GoldenVector.bytes(words[words.count - 1]) else { return nil }
    var values: [String: UInt64] = [:]
    for word in words[2..<words.count - 2] {
      let parts = word.split(separator: "=").map(String.init)
      guard parts.count == 2, let value = GoldenVector.number(parts[1]), values.updateValue(value, forKey: parts[0]) == nil else { return nil }
    }
    self.place = place
    record = words[0]
    abi = words[1]
    self.values = values
    self.bytes = bytes
  }

  private static func number(_ text: String) -> UInt64? {
    if text.hasPrefix("-") { return Int64(text).map(UInt64.init(bitPattern:)) }
    return text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
  }

  private static func bytes(_ hex: String) -> [UInt8]? {
    guard hex.utf8.count % 2 == 0 else { return nil }
    let digits = Array(hex)
    var bytes: [UInt8] = []
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let byte = UInt8(String(digits[index...index + 1]), radix: 16) else { return nil }
      bytes.append(byte)
    }
    return bytes
  }
}
