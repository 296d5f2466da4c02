extension Validator {
  /// Store keys: distinct names in a directory, known types, defaults that parse and lie in the range.
  func keys(_ description: ProtocolDescription) -> [Diagnostic] {
    guard let group = description.keys else { return [] }
    var found: [Diagnostic] = []
    for directory in KeyGroup.Directory.allCases {
      var names = UniqueNames("\(directory.rawValue) key")
      var swiftNames = UniqueNames("Swift name")
      for key in group.keys where key.directory == directory {
        names.add(key.name, key.location, isSwift: false)
        swiftNames.add(key.swiftName, key.location)
      }
      found += names.diagnostics + swiftNames.diagnostics
    }
    for key in group.keys {
      found += name(key) + type(key, description) + range(key)
    }
    return found
  }

  private func name(_ key: KeyGroup.Key) -> [Diagnostic] {
    let plain = key.name.replacing("%u", with: "0")
    let legal = plain.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-/_@".contains($0)) }
    guard legal, !plain.hasPrefix("/"), !plain.hasSuffix("/"), !plain.contains("//") else {
      return [Diagnostic(location: key.location, reason: "key '\(key.name)' is not a store path: letters, digits and -/_@ only")]
    }
    return []
  }

  private func type(_ key: KeyGroup.Key, _ description: ProtocolDescription) -> [Diagnostic] {
    func wrong(_ reason: String) -> [Diagnostic] { [Diagnostic(location: key.location, reason: reason)] }
    switch key.type {
    case .flags(let name) where !description.flags.contains { $0.name == name }:
      return wrong("key '\(key.name)': '\(name)' is not a flag set of this protocol")
    case .strings(let name):
      guard let list = description.strings.first(where: { $0.name == name }), list.closed else {
        return wrong("key '\(key.name)': '\(name)' is not a closed string list of this protocol")
      }
      if let value = key.defaultValue, !list.entries.contains(where: { $0.value == value }) {
        return wrong("key '\(key.name)': default '\(value)' is not in '\(name)'")
      }
      return []
    case .bool where key.defaultValue.map { $0 != "0" && $0 != "1" } ?? false:
      return wrong("key '\(key.name)': default of a bool must be 0 or 1")
    case .deviceNumber where key.defaultValue != nil, .xenbusState where key.defaultValue != nil:
      return wrong("key '\(key.name)': a default is not supported for this type")
    case .string where key.defaultValue.map { $0.contains("\"") || $0.contains("\\") } ?? false,
      .path where key.defaultValue.map { $0.contains("\"") || $0.contains("\\") } ?? false:
      return wrong("key '\(key.name)': a default must not contain quotes or backslashes")
    default:
      return []
    }
  }

  private func range(_ key: KeyGroup.Key) -> [Diagnostic] {
    func wrong(_ reason: String) -> [Diagnostic] { [Diagnostic(location: key.location, reason: "key '\(key.name)': \(reason)")] }
    guard let largest = key.type.largest else {
      return key.minimum == nil && key.maximum == nil ? [] : wrong("a range needs a numeric type")
    }
    let minimum = key.minimum ?? 0
    let maximum = key.maximum ?? largest
    if maximum > largest { return wrong("maximum \(maximum) does not fit the type (at most \(largest))") }
    if minimum > maximum { return wrong("minimum \(minimum) is above maximum \(maximum)") }
    guard let text = key.defaultValue else { return [] }
    guard let value = UInt64(text) else { return wrong("default '\(text)' is not a number") }
    return (minimum...maximum).contains(value) ? [] : wrong("default \(value) is outside \(minimum) to \(maximum)")
  }
}
