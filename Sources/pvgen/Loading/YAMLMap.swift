import Yams

/// A YAML mapping that knows its place in the file, hands out each entry once, and rejects entries nobody asked for.
///
/// A misspelt key would otherwise be silently ignored, and the generated layout would silently be wrong.
struct YAMLMap {
  let location: SourceLocation
  private let entries: [String: Node]
  private let keyLines: [String: Int]
  private let file: String
  private let what: String

  /// - Parameter what: what the mapping describes, for messages, for example "a field".
  init(_ node: Node, file: String, what: String, allowed: Set<String>) throws(InvalidProtocol) {
    self.file = file
    self.what = what
    location = SourceLocation(file: file, line: node.mark?.line ?? 1)
    guard case .mapping(let mapping) = node else {
      throw InvalidProtocol(location, "\(what) must be a mapping (name: value), found \(YAMLMap.kind(of: node))")
    }
    var entries: [String: Node] = [:]
    var lines: [String: Int] = [:]
    for (key, value) in mapping {
      let line = key.mark?.line ?? location.line
      guard case .scalar(let scalar) = key else {
        throw InvalidProtocol(SourceLocation(file: file, line: line), "a key of \(what) must be a word")
      }
      let name = scalar.string
      guard allowed.contains(name) else {
        throw InvalidProtocol(
          SourceLocation(file: file, line: line),
          "unknown key '\(name)' in \(what); known: \(allowed.sorted().joined(separator: ", "))")
      }
      entries[name] = value
      lines[name] = line
    }
    self.entries = entries
    keyLines = lines
  }

  func has(_ key: String) -> Bool { entries[key] != nil }

  func node(_ key: String) -> Node? { entries[key] }

  func location(of key: String) -> SourceLocation {
    SourceLocation(file: file, line: keyLines[key] ?? location.line)
  }

  func optionalString(_ key: String) throws(InvalidProtocol) -> String? {
    guard let node = entries[key] else { return nil }
    guard case .scalar(let scalar) = node else {
      throw InvalidProtocol(location(of: key), "'\(key)' of \(what) must be a string, found \(YAMLMap.kind(of: node))")
    }
    return scalar.string.split(whereSeparator: \.isNewline).joined(separator: " ")
  }

  func string(_ key: String) throws(InvalidProtocol) -> String {
    guard let value = try optionalString(key) else { throw InvalidProtocol(location, "\(what) needs '\(key)'") }
    guard !value.isEmpty else { throw InvalidProtocol(location(of: key), "'\(key)' of \(what) is empty") }
    return value
  }

  func optionalInteger(_ key: String) throws(InvalidProtocol) -> Int128? {
    guard let text = try optionalString(key) else { return nil }
    guard let value = YAMLMap.integer(text) else {
      throw InvalidProtocol(location(of: key), "'\(key)' of \(what) must be a whole number, found '\(text)'")
    }
    return value
  }

  func integer(_ key: String) throws(InvalidProtocol) -> Int128 {
    guard let value = try optionalInteger(key) else { throw InvalidProtocol(location, "\(what) needs '\(key)'") }
    return value
  }

  func flag(_ key: String) throws(InvalidProtocol) -> Bool {
    switch try optionalString(key) {
    case nil, "false": return false
    case "true": return true
    case let other?: throw InvalidProtocol(location(of: key), "'\(key)' of \(what) must be true or false, found '\(other)'")
    }
  }

  /// A word out of a closed list.
  func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ key: String, _ type: Choice.Type
  ) throws(InvalidProtocol) -> Choice {
    let text = try string(key)
    guard let choice = Choice(rawValue: text) else {
      let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw InvalidProtocol(location(of: key), "'\(key)' of \(what) is '\(text)'; known: \(known)")
    }
    return choice
  }

  /// The elements of a list; an absent list is empty.
  func list(_ key: String) throws(InvalidProtocol) -> [Node] {
    guard let node = entries[key] else { return [] }
    guard case .sequence(let sequence) = node else {
      throw InvalidProtocol(location(of: key), "'\(key)' of \(what) must be a list, found \(YAMLMap.kind(of: node))")
    }
    return Array(sequence)
  }

  func strings(_ key: String) throws(InvalidProtocol) -> [String] {
    var result: [String] = []
    for node in try list(key) {
      guard case .scalar(let scalar) = node else {
        throw InvalidProtocol(location(of: key), "'\(key)' of \(what) must be a list of strings")
      }
      result.append(scalar.string.split(whereSeparator: \.isNewline).joined(separator: " "))
    }
    return result
  }

  /// Sizes or offsets: one number for every ABI, or a mapping from ABI to number.
  func numberPerABI(_ key: String) throws(InvalidProtocol) -> [ABI: Int] {
    guard let node = entries[key] else { throw InvalidProtocol(location, "\(what) needs '\(key)'") }
    guard case .mapping(let mapping) = node else {
      let value = try small(integer(key), key)
      return Dictionary(uniqueKeysWithValues: ABI.allCases.map { ($0, value) })
    }
    var result: [ABI: Int] = [:]
    for (abiNode, valueNode) in mapping {
      guard case .scalar(let name) = abiNode, let abi = ABI(rawValue: name.string) else {
        let known = ABI.allCases.map(\.rawValue).joined(separator: ", ")
        throw InvalidProtocol(location(of: key), "'\(key)' of \(what): unknown ABI '\(abiNode.string ?? "?")'; known: \(known)")
      }
      guard case .scalar(let text) = valueNode, let value = YAMLMap.integer(text.string) else {
        throw InvalidProtocol(location(of: key), "'\(key)' of \(what) for \(abi.rawValue) must be a whole number")
      }
      result[abi] = try small(value, key)
    }
    return result
  }

  /// A number that can be a place or size in a page or message.
  func small(_ value: Int128, _ key: String) throws(InvalidProtocol) -> Int {
    guard (0...1 << 20).contains(value) else {
      throw InvalidProtocol(location(of: key), "'\(key)' of \(what) is \(value), expected 0 to \(1 << 20)")
    }
    return Int(value)
  }

  /// Decimal or 0x-hexadecimal, with an optional minus sign.
  static func integer(_ text: String) -> Int128? {
    let negative = text.hasPrefix("-")
    let digits = negative ? text.dropFirst() : text[...]
    let magnitude = digits.hasPrefix("0x") ? Int128(digits.dropFirst(2), radix: 16) : Int128(digits)
    guard let magnitude, digits.first?.isHexDigit == true else { return nil }
    return negative ? -magnitude : magnitude
  }

  private static func kind(of node: Node) -> String {
    switch node {
    case .scalar(let scalar): scalar.string.isEmpty ? "nothing" : "'\(scalar.string)'"
    case .mapping: "a mapping"
    case .sequence: "a list"
    case .alias: "an alias"
    }
  }
}
