/// Checks what YAML cannot: names, ranges, overlaps, references between parts. Collects every mistake, not only the first.
struct Validator {
  let descriptions: [ProtocolDescription]

  init(_ descriptions: [ProtocolDescription]) { self.descriptions = descriptions }

  func check() throws(InvalidProtocol) {
    let found = diagnostics()
    guard found.isEmpty else { throw InvalidProtocol(found) }
  }

  func diagnostics() -> [Diagnostic] {
    var found: [Diagnostic] = []
    for description in descriptions {
      found += transport(description)
      found += values(description)
      found += records(description)
      found += layouts(description)
      found += keys(description)
      found += driver(description)
    }
    return found + typeNames()
  }

  /// All Swift types share one module.
  private func typeNames() -> [Diagnostic] {
    var names = UniqueNames("type name")
    for description in descriptions {
      for group in description.constants { names.add(group.name, group.location) }
      for entry in description.enumerations { names.add(entry.name, entry.location) }
      for entry in description.flags { names.add(entry.name, entry.location) }
      for entry in description.strings { names.add(entry.name, entry.location) }
      for entry in description.layouts { names.add(entry.name, entry.location) }
      for record in description.records {
        for abi in record.distinctABIs { names.add(record.swiftName(abi), record.location) }
      }
      if let keys = description.keys { names.add(keys.name, keys.location) }
    }
    return names.diagnostics
  }

  private func transport(_ description: ProtocolDescription) -> [Diagnostic] {
    let transport = description.transport
    guard transport.kind == .ring else { return [] }
    var found: [Diagnostic] = []
    for (role, name) in [("request", transport.request), ("response", transport.response)] {
      guard let name else {
        found.append(Diagnostic(location: transport.location, reason: "a ring transport needs '\(role)'"))
        continue
      }
      if description.record(named: name) == nil {
        found.append(Diagnostic(location: transport.location, reason: "\(role) '\(name)' is not a record of this protocol"))
      }
    }
    return found
  }
}

/// Finds names that are used twice in one scope, or that are not names at all.
struct UniqueNames {
  private let what: String
  private var seen: [String: SourceLocation] = [:]
  private(set) var diagnostics: [Diagnostic] = []

  init(_ what: String) { self.what = what }

  mutating func add(_ name: String, _ location: SourceLocation, isSwift: Bool = true) {
    if isSwift && !Identifier.isSwiftName(name) {
      diagnostics.append(Diagnostic(location: location, reason: "\(what) '\(name)' must be letters and digits, a letter first"))
    }
    if let first = seen[name] {
      diagnostics.append(Diagnostic(location: location, reason: "\(what) '\(name)' is already used at \(first)"))
    } else {
      seen[name] = location
    }
  }
}
