/// A type that store keys can have: how its values are spelled.
///
/// Parsing is strict: no spaces, signs or leading plus, nothing behind the value, no overflow. (Linux reads with `%u`, which
/// ignores what follows; what it accepts beyond ours is a peer's mistake.)
public protocol StoreValue: Sendable {
  /// The value that `storeText` spells, or nil when it spells none.
  init?(storeText: String)

  /// The spelling that is written.
  var storeText: String { get }

  /// The value as a number, for types that can have a range.
  var storeNumber: UInt64? { get }

  /// What a spelling looks like, for messages.
  static var storeExpectation: String { get }
}

extension StoreValue {
  public var storeNumber: UInt64? { nil }
}

/// Decimal digits only; `nil` when there are none, something else, or too many.
private func decimal<Number: FixedWidthInteger>(_ text: String, as type: Number.Type) -> Number? {
  guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
  return Number(text)
}

extension StoreValue where Self: FixedWidthInteger & UnsignedInteger {
  public init?(storeText: String) {
    guard let value = decimal(storeText, as: Self.self) else { return nil }
    self = value
  }

  public var storeText: String { String(self) }
  public var storeNumber: UInt64? { UInt64(self) }
  public static var storeExpectation: String { "a decimal number from 0 to \(Self.max)" }
}

extension UInt16: StoreValue {}
extension UInt32: StoreValue {}
extension UInt64: StoreValue {}

extension StoreValue where Self: RawRepresentable, RawValue: StoreValue & FixedWidthInteger {
  public init?(storeText: String) {
    guard let raw = RawValue(storeText: storeText) else { return nil }
    self.init(rawValue: raw)
  }

  public var storeText: String { rawValue.storeText }
  public var storeNumber: UInt64? { rawValue.storeNumber }
  public static var storeExpectation: String { RawValue.storeExpectation }
}

extension GrantReference: StoreValue {}
extension EventChannelPort: StoreValue {}
extension DomainID: StoreValue {}

extension Bool: StoreValue {
  public init?(storeText: String) {
    switch storeText {
    case "0": self = false
    case "1": self = true
    default: return nil
    }
  }

  public var storeText: String { self ? "1" : "0" }
  public static var storeExpectation: String { "0 or 1" }
}

extension String: StoreValue {
  public init?(storeText: String) { self = storeText }
  public var storeText: String { self }
  public static var storeExpectation: String { "a string" }
}

extension StoreValue where Self: RawRepresentable<String> & CaseIterable {
  public init?(storeText: String) { self.init(rawValue: storeText) }
  public var storeText: String { rawValue }
  public static var storeExpectation: String { "one of: " + allCases.map(\.rawValue).joined(separator: ", ") }
}
