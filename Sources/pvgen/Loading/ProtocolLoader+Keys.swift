import Yams

extension ProtocolLoader {
  func keyGroup(_ root: YAMLMap) throws(InvalidProtocol) -> KeyGroup? {
    guard let node = root.node("keys") else { return nil }
    let entry = try map(node, "the keys", ["name", "doc", "list"])
    return KeyGroup(
      name: try entry.string("name"), doc: try entry.string("doc"), keys: try each(entry, "list", key), location: entry.location)
  }

  private func key(_ node: Node) throws(InvalidProtocol) -> KeyGroup.Key {
    let entry = try map(
      node, "a store key",
      [
        "key", "swift", "directory", "writer", "type", "per_queue", "unit", "default", "minimum", "maximum", "agreement", "deprecated",
        "doc",
      ])
    let name = try entry.string("key")
    return KeyGroup.Key(
      name: name, swiftName: try entry.optionalString("swift") ?? Identifier.lowerCamel(name),
      directory: try entry.choice("directory", KeyGroup.Directory.self), writer: try entry.choice("writer", KeyGroup.Writer.self),
      type: try keyType(entry), perQueue: try entry.flag("per_queue"), unit: try entry.optionalString("unit"),
      defaultValue: try entry.optionalString("default"), minimum: try bound(entry, "minimum"), maximum: try bound(entry, "maximum"),
      agreement: try entry.optionalString("agreement"), deprecated: try entry.flag("deprecated"), doc: try entry.string("doc"),
      location: entry.location)
  }

  /// A built-in type, `flags(NAME)` or `strings(NAME)`.
  private func keyType(_ entry: YAMLMap) throws(InvalidProtocol) -> KeyType {
    let text = try entry.string("type")
    if let builtIn = KeyType.builtIn[text] { return builtIn }
    if let open = text.firstIndex(of: "("), text.hasSuffix(")") {
      let argument = String(text[text.index(after: open)...].dropLast())
      switch text[..<open] {
      case "flags": return .flags(argument)
      case "strings": return .strings(argument)
      default: break
      }
    }
    let known = KeyType.builtIn.keys.sorted().joined(separator: ", ")
    throw InvalidProtocol(
      entry.location(of: "type"), "type '\(text)' of a store key; known: \(known), flags(NAME), strings(NAME)")
  }

  private func bound(_ entry: YAMLMap, _ key: String) throws(InvalidProtocol) -> UInt64? {
    guard let value = try entry.optionalInteger(key) else { return nil }
    guard let bound = UInt64(exactly: value) else {
      throw InvalidProtocol(entry.location(of: key), "'\(key)' of a store key is \(value), expected 0 or more")
    }
    return bound
  }
}
