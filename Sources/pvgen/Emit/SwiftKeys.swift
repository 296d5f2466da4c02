/// Writes the store keys of a protocol as typed Swift constants.
struct SwiftKeys {
  let description: ProtocolDescription
  let group: KeyGroup

  func file() -> String {
    swiftFile(description) { file in
      file.comment(group.doc.asSentence)
      file.block("public enum \(group.name): Sendable") { body in
        for directory in KeyGroup.Directory.allCases {
          let keys = group.keys.filter { $0.directory == directory }
          guard !keys.isEmpty else { continue }
          if directory != group.keys.first.map(\.directory) { body.line() }
          body.comment("Keys in the \(directory.rawValue)'s device directory.")
          body.block("public enum \(Identifier.capitalised(directory.rawValue)): Sendable") { body in
            for (index, key) in keys.enumerated() {
              if index > 0 { body.line() }
              constant(key, &body)
            }
          }
        }
      }
      if !valueTypes.isEmpty { file.line() }
      for name in valueTypes { file.line("extension \(name): StoreValue {}") }
    }
  }

  /// Types of this protocol that are values of keys, in order of first use.
  private var valueTypes: [String] {
    var names: [String] = []
    for key in group.keys {
      switch key.type {
      case .flags(let name), .strings(let name): if !names.contains(name) { names.append(name) }
      default: break
      }
    }
    return names
  }

  private func constant(_ key: KeyGroup.Key, _ body: inout SourceText) {
    body.comment(documentation(key))
    let type = key.isIndexed ? "IndexedStoreKey" : "StoreKey"
    var arguments = [key.isIndexed ? "pattern: \"\(key.name)\"" : "\"\(key.name)\"", "writer: .\(key.writer.rawValue)"]
    if let value = key.defaultValue { arguments.append("default: \(literal(value, key.type))") }
    if key.minimum != nil || key.maximum != nil {
      arguments.append("range: \(key.minimum ?? 0)...\(key.maximum.map(String.init) ?? key.type.largest.map(String.init) ?? ".max")")
    }
    if key.perQueue { arguments.append("perQueue: true") }
    let name = Identifier.escaped(key.swiftName)
    body.line("public static let \(name) = \(type)<\(key.type.swiftName)>(\(arguments.joined(separator: ", ")))")
  }

  private func documentation(_ key: KeyGroup.Key) -> String {
    var text = "`\(key.name)`: \(key.doc.asSentence)"
    if let unit = key.unit { text += " Unit: \(unit.withoutFullStop)." }
    if let agreement = key.agreement { text += " Agreed: \(agreement.asSentence)" }
    if key.deprecated { text += " Deprecated: written for old peers only." }
    return text
  }

  /// The default as a Swift expression; validation has checked that it parses.
  private func literal(_ value: String, _ type: KeyType) -> String {
    switch type {
    case .u16, .u32, .u64: value
    case .bool: value == "1" ? "true" : "false"
    case .string, .path: "\"\(value)\""
    case .grantReference, .port, .domainID: "\(type.swiftName)(rawValue: \(value))"
    case .flags(let name): "\(name)(rawValue: \(value))"
    case .xenbusState: ".unknown"
    case .strings(let name):
      "." + Identifier.escaped(
        description.strings.first { $0.name == name }?.entries.first { $0.value == value }?.name ?? value)
    case .deviceNumber: "DeviceNumber(\"\(value)\")"
    }
  }
}
