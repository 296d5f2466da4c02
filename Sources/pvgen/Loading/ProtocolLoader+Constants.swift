import Yams

extension ProtocolLoader {
  func constantGroup(_ node: Node) throws(InvalidProtocol) -> ConstantGroup {
    let entry = try map(node, "a constant group", ["name", "type", "doc", "values"])
    let type = try entry.optionalString("type") ?? "Int"
    guard ConstantGroup.knownTypes.contains(type) else {
      throw InvalidProtocol(
        entry.location(of: "type"),
        "type '\(type)' of a constant group; known: \(ConstantGroup.knownTypes.joined(separator: ", "))")
    }
    return ConstantGroup(
      name: try entry.string("name"), type: type, doc: try entry.string("doc"),
      values: try each(entry, "values", namedValue), location: entry.location)
  }

  func enumeration(_ node: Node) throws(InvalidProtocol) -> Enumeration {
    let entry = try map(node, "an enumeration", ["name", "type", "doc", "cases"])
    return Enumeration(
      name: try entry.string("name"), type: try entry.choice("type", IntegerType.self), doc: try entry.string("doc"),
      cases: try each(entry, "cases", namedValue), location: entry.location)
  }

  func flagSet(_ node: Node) throws(InvalidProtocol) -> FlagSet {
    let entry = try map(node, "a flag set", ["name", "type", "doc", "bits"])
    return FlagSet(
      name: try entry.string("name"), type: try entry.choice("type", IntegerType.self), doc: try entry.string("doc"),
      bits: try each(entry, "bits", namedValue), location: entry.location)
  }

  func stringGroup(_ node: Node) throws(InvalidProtocol) -> StringGroup {
    let entry = try map(node, "a string group", ["name", "doc", "closed", "c_table", "values"])
    return StringGroup(
      name: try entry.string("name"), doc: try entry.string("doc"), closed: try entry.flag("closed"),
      cTable: try entry.optionalString("c_table"),
      entries: try each(entry, "values", stringEntry), location: entry.location)
  }

  private func stringEntry(_ node: Node) throws(InvalidProtocol) -> StringGroup.Entry {
    let entry = try map(node, "a string", ["name", "value", "c", "doc"])
    return StringGroup.Entry(
      name: try entry.string("name"), value: try entry.string("value"), c: try entry.optionalString("c"),
      doc: try entry.string("doc"), location: entry.location)
  }

  private func namedValue(_ node: Node) throws(InvalidProtocol) -> NamedValue {
    let entry = try map(node, "a value", ["name", "value", "c", "unchecked", "abi", "doc"])
    return NamedValue(
      name: try entry.string("name"), value: try entry.integer("value"), c: try entry.optionalString("c"),
      unchecked: try entry.optionalString("unchecked"),
      abi: entry.has("abi") ? try entry.choice("abi", ABI.self) : nil, doc: try entry.string("doc"), location: entry.location)
  }
}
