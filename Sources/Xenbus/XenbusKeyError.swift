/// A key that is missing or does not hold what the protocol asks for: whose, where, what, and what was expected.
public struct XenbusKeyError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The end whose directory holds the key.
  public var side: XenbusSide
  /// Full path of the key.
  public var path: String
  /// What was read; nil when the key is missing.
  public var value: String?
  /// What the protocol asks for, e.g. "a number from 1 to 8".
  public var expectation: String

  public init(side: XenbusSide, path: String, value: String?, expectation: String) {
    self.side = side
    self.path = path
    self.value = value
    self.expectation = expectation
  }

  public var description: String {
    let found = value.map { "is '\(Self.printable($0))'" } ?? "is missing"
    return "\(side.rawValue) key \(path) \(found), expected \(expectation)"
  }

  /// A peer chooses the value, and it ends in logs and on terminals: shorten it and keep control characters out.
  static func printable(_ value: String, limit: Int = 64) -> String {
    let shown = value.unicodeScalars.prefix(limit).map { scalar in
      scalar.value >= 0x20 && scalar.value != 0x7F && !(0x80...0x9F).contains(scalar.value) ? Character(scalar) : "?"
    }
    return String(shown) + (value.unicodeScalars.count > limit ? "…" : "")
  }
}
