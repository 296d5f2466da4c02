import Foundation

/// A value of the store, which may be any bytes, as people and JSON see it.
struct StoreText {
  let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The value when it is text.
  var text: String? { String(validating: bytes, as: UTF8.self) }

  /// As it is when it is text, else with `\xHH` in place of what is none.
  var plain: String { text ?? escaped }

  /// On one line: control characters, quotes and what is no ASCII as `\xHH`.
  var escaped: String {
    bytes.map { byte in
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): "\\\(Character(UnicodeScalar(byte)))"
      case 0x20..<0x7F: String(UnicodeScalar(byte))
      case UInt8(ascii: "\n"): "\\n"
      case UInt8(ascii: "\t"): "\\t"
      default: "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }.joined()
  }

  /// Path and value in JSON: the value as text or, when it is none, in `base64`.
  struct Node: Codable {
    var path: String
    var value: String?
    var base64: String?
    var permissions: [String]?

    init(path: String, _ value: StoreText, permissions: [String]? = nil) {
      self.path = path
      self.value = value.text
      if self.value == nil { base64 = Data(value.bytes).base64EncodedString() }
      self.permissions = permissions
    }

    /// The value; nil when there is not exactly one.
    var bytes: [UInt8]? {
      switch (value, base64) {
      case (let value?, nil): Array(value.utf8)
      case (nil, let base64?): Data(base64Encoded: base64).map(Array.init)
      default: nil
      }
    }
  }
}
