import Yams

/// Turns the text of one `protocol.yaml` into a description, or says file, line and reason.
struct ProtocolLoader {
  /// Path for messages.
  let file: String

  init(file: String) { self.file = file }

  func load(_ text: String) throws(InvalidProtocol) -> ProtocolDescription {
    let root = try map(
      parse(text), "a protocol",
      [
        "protocol", "module", "title", "summary", "headers", "transport", "rules", "constants", "enumerations", "flags", "strings", "layouts",
        "records", "keys", "driver",
      ])
    if root.has("driver") { return try driverProtocol(root) }
    return ProtocolDescription(
      name: try root.string("protocol"),
      module: try root.optionalString("module").map(InterfaceModule.init(named:)) ?? .xen,
      title: try root.string("title"),
      summary: try root.string("summary"),
      headers: try root.strings("headers"),
      transport: try transport(root),
      rules: try root.strings("rules"),
      constants: try each(root, "constants", constantGroup),
      enumerations: try each(root, "enumerations", enumeration),
      flags: try each(root, "flags", flagSet),
      strings: try each(root, "strings", stringGroup),
      layouts: try each(root, "layouts", sharedLayout),
      records: try each(root, "records", record),
      keys: try keyGroup(root),
      location: root.location)
  }

  private func parse(_ text: String) throws(InvalidProtocol) -> Node {
    let node: Node?
    do {
      node = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw InvalidProtocol(SourceLocation(file: file, line: error.line ?? 1), "not valid YAML: \(error.reason)")
    } catch {
      throw InvalidProtocol(SourceLocation(file: file, line: 1), "not valid YAML: \(error)")
    }
    guard let node else { throw InvalidProtocol(SourceLocation(file: file, line: 1), "the file is empty") }
    return node
  }

  func map(_ node: Node, _ what: String, _ allowed: Set<String>) throws(InvalidProtocol) -> YAMLMap {
    try YAMLMap(node, file: file, what: what, allowed: allowed)
  }

  func each<Element>(
    _ parent: YAMLMap, _ key: String, _ load: (Node) throws(InvalidProtocol) -> Element
  ) throws(InvalidProtocol) -> [Element] {
    var result: [Element] = []
    for node in try parent.list(key) { result.append(try load(node)) }
    return result
  }

  private func transport(_ root: YAMLMap) throws(InvalidProtocol) -> Transport {
    guard let node = root.node("transport") else { throw InvalidProtocol(root.location, "a protocol needs 'transport'") }
    let entry = try map(node, "the transport", ["kind", "summary", "request", "response"])
    return Transport(
      kind: try entry.choice("kind", Transport.Kind.self),
      summary: try entry.string("summary"),
      request: try entry.optionalString("request"),
      response: try entry.optionalString("response"),
      location: entry.location)
  }
}

extension YamlError {
  /// Line of the mistake, counted from 1, where the parser knows it.
  fileprivate var line: Int? {
    switch self {
    case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _): mark.line
    case .duplicatedKeysInMapping(_, let context): context.mark.line
    default: nil
    }
  }

  /// What is wrong, without the position and the excerpt.
  fileprivate var reason: String {
    switch self {
    case .scanner(_, let problem, _, _), .parser(_, let problem, _, _), .composer(_, let problem, _, _): problem
    case .duplicatedKeysInMapping(let keys, _): "duplicated key \(keys.map { "'\($0)'" }.joined(separator: ", "))"
    default: "\(self)"
    }
  }
}
