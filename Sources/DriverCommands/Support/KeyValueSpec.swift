/// A `key=value,key=value` list as QEMU users know it, taken apart strictly.
public struct KeyValueSpec: Sendable {
  private var values: [String: String]
  private let option: String
  private let text: String

  /// What a key means, for `help` and for errors.
  public struct Key: Sendable {
    var name: String
    var expectation: String
    /// The key stands alone.
    var isFlag = false
    /// Its value is two numbers, with a comma between them.
    var takesPair = false

    public init(name: String, expectation: String, isFlag: Bool = false, takesPair: Bool = false) {
      self.name = name
      self.expectation = expectation
      self.isFlag = isFlag
      self.takesPair = takesPair
    }
  }

  /// Throws a usage failure that names the key for an unknown, repeated or valueless key; `help` lists the keys instead.
  public init(_ text: String, option: String, keys: [Key]) throws {
    self.option = option
    self.text = text
    values = [:]
    if text == "help" {
      let list = keys.map { "  \($0.name)\($0.isFlag ? "" : "=")\($0.expectation)" }.joined(separator: "\n")
      throw HelpRequest(text: "\(option) KEY=VALUE[,KEY=VALUE]...\n\(list)")
    }
    var pairKey: String?
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      // The second number of a pair.
      if let key = pairKey.take(), !part.isEmpty, part.allSatisfy(\.isNumber) {
        values[key]?.append(",\(part)")
        continue
      }
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(pair[0])
      guard let key = keys.first(where: { $0.name == name }) else {
        throw CommandFailure.usage("\(option) \(text): unknown key '\(name)'; expected one of \(keys.map(\.name).joined(separator: ", "))")
      }
      if key.isFlag {
        guard pair.count == 1 else { throw CommandFailure.usage("\(option) \(text): key '\(name)' takes no value") }
      } else {
        guard pair.count == 2, !pair[1].isEmpty else { throw CommandFailure.usage("\(option) \(text): key '\(name)' needs a value") }
      }
      guard values.updateValue(pair.count == 2 ? String(pair[1]) : "", forKey: name) == nil else {
        throw CommandFailure.usage("\(option) \(text): key '\(name)' is given twice")
      }
      if key.takesPair { pairKey = name }
    }
  }

  public subscript(_ key: String) -> String? { values[key] }

  public func flag(_ key: String, default fallback: Bool) throws -> Bool {
    switch values[key] {
    case nil: return fallback
    case "on": return true
    case "off": return false
    case let value?: throw bad(key, value, "on or off")
    }
  }

  public func number(_ key: String, in range: ClosedRange<Int>, default fallback: Int) throws -> Int {
    guard let value = values[key] else { return fallback }
    guard let number = Int(value), range.contains(number) else {
      throw bad(key, value, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  public func byteCount(_ key: String) throws -> UInt64? {
    guard let value = values[key] else { return nil }
    guard let count = ByteCount(value) else { throw bad(key, value, "a size such as 512M or 1G") }
    return count.value
  }

  /// A value that becomes the name of a file or folder.
  public func name(_ key: String, _ value: String) throws -> String {
    guard value.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }), !value.hasPrefix(".") else {
      throw bad(key, value, "letters, digits, '-', '_' and '.'")
    }
    return value
  }

  public func bad(_ key: String, _ value: String, _ expectation: String) -> CommandFailure {
    .usage("\(option) \(text): '\(key)=\(value)' is wrong; expected \(expectation)")
  }
}

/// Somebody asked what could be said here: printed, and the command ends well.
public struct HelpRequest: Error {
  /// What is printed.
  public var text: String
}

/// A size in bytes, written with an optional K, M, G or T (powers of 1024).
public struct ByteCount: Equatable {
  public var value: UInt64

  public init?(_ text: String) {
    let shifts: [Character: UInt64] = ["K": 10, "M": 20, "G": 30, "T": 40]
    var digits = Substring(text)
    var shift: UInt64 = 0
    if let last = text.last, let known = shifts[Character(last.uppercased())] {
      shift = known
      digits = digits.dropLast()
    }
    guard digits.allSatisfy(\.isNumber), let number = UInt64(digits), number > 0, number <= UInt64.max >> (shift + 1) else { return nil }
    value = number << shift
  }

  public init(_ value: UInt64) { self.value = value }

  /// As short as it can be said exactly to one decimal.
  public var text: String {
    for (name, shift) in [("T", UInt64(40)), ("G", 30), ("M", 20), ("K", 10)] where value >= 1 << shift {
      let tenths = ((value >> (shift - 10)) * 10) >> 10
      return tenths % 10 == 0 ? "\(tenths / 10)\(name)" : "\(tenths / 10).\(tenths % 10)\(name)"
    }
    return "\(value)"
  }
}
