/// The name of a driver that is to be made: `entropy`, `block_trace`.
struct DriverName {
  /// As the protocol's folder has it.
  let name: String
  /// As Swift's types begin: `BlockTrace`.
  let prefix: String
  /// As commands and the store have it: `block-trace`.
  var kind: String { name.replacing("_", with: "-") }
  /// The registration's name in Swift: `blockTrace`.
  var constant: String { prefix.prefix(1).lowercased() + prefix.dropFirst() }

  /// Nil unless `text` is made of lower-case letters, digits and `_`, a letter first.
  init?(_ text: String) {
    guard text.count <= 32, text.first?.isLetter == true, text.allSatisfy({ $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "_") }) else {
      return nil
    }
    name = text
    prefix = text.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }
}
