extension Validator {
  /// Constants, enumerations, flags and strings.
  func values(_ description: ProtocolDescription) -> [Diagnostic] {
    var found: [Diagnostic] = []
    for group in description.constants {
      let range = group.type == "Int" ? Int128(Int.min)...Int128(Int.max) : IntegerType(rawValue: group.type.replacing("UInt", with: "u"))?.range
      found += named(group.values, "constant", range, group.type, uniqueValues: false)
    }
    for entry in description.enumerations {
      found += named(entry.cases, "case", entry.type.range, entry.type.rawValue, uniqueValues: true)
      if entry.cases.isEmpty { found.append(Diagnostic(location: entry.location, reason: "enumeration '\(entry.name)' has no cases")) }
    }
    for flags in description.flags {
      found += named(flags.bits, "flag", flags.type.range, flags.type.rawValue, uniqueValues: true)
      if flags.type.isSigned {
        found.append(Diagnostic(location: flags.location, reason: "flag set '\(flags.name)' needs an unsigned type"))
      }
    }
    for group in description.strings {
      var names = UniqueNames("string name")
      var texts = UniqueNames("string")
      for entry in group.entries {
        names.add(entry.name, entry.location)
        if group.closed { texts.add(entry.value, entry.location, isSwift: false) }
        if entry.value.contains("\"") || entry.value.contains("\\") {
          texts.add(entry.value, entry.location)
        }
      }
      found += names.diagnostics + texts.diagnostics
    }
    return found
  }

  private func named(
    _ values: [NamedValue], _ what: String, _ range: ClosedRange<Int128>?, _ type: String, uniqueValues: Bool
  ) -> [Diagnostic] {
    var names = UniqueNames("\(what) name")
    var numbers = UniqueNames("\(what) value")
    var found: [Diagnostic] = []
    for value in values {
      names.add(value.name, value.location)
      if uniqueValues { numbers.add(String(value.value), value.location, isSwift: false) }
      if let range, !range.contains(value.value) {
        found.append(
          Diagnostic(
            location: value.location,
            reason: "value \(value.value) of '\(value.name)' does not fit \(type) (\(range.lowerBound) to \(range.upperBound))"))
      }
      if value.c == nil && value.unchecked == nil {
        found.append(
          Diagnostic(
            location: value.location,
            reason: "'\(value.name)' needs 'c' (an expression to check it against Xen's headers) or 'unchecked' (why there is none)"))
      }
    }
    return found + names.diagnostics + numbers.diagnostics
  }
}
