extension Validator {
  /// The `driver:` section: names, versions, features that can be agreed.
  func driver(_ description: ProtocolDescription) -> [Diagnostic] {
    guard let driver = description.driver else { return [] }
    var found: [Diagnostic] = []
    func wrong(_ location: SourceLocation, _ reason: String) { found.append(Diagnostic(location: location, reason: reason)) }
    let nameIsPlain = description.name.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "_") } && description.name.first?.isLetter == true
    if !nameIsPlain { wrong(description.location, "a driver's protocol is called '\(description.name)'; expected lower-case letters, digits and '_', a letter first") }
    if driver.minimumVersion > driver.version {
      wrong(driver.location, "'minimum_version' \(driver.minimumVersion) is above 'version' \(driver.version)")
    }
    for later in driver.laterFields where later.version > driver.version {
      wrong(driver.location, "field '\(later.field)' is of version \(later.version), but the protocol's version is \(driver.version)")
    }
    var counters = UniqueNames("counter")
    for counter in driver.counters { counters.add(counter.name, counter.location) }
    found += counters.diagnostics
    let taken = ["min-version", "max-version", "max-ring-page-order", "entry-size", "version", "ring-page-order", "event-channel", "state"]
    for feature in driver.features {
      if taken.contains(feature.key) || feature.key.hasPrefix("ring-ref") {
        wrong(feature.location, "feature '\(feature.key)': every driver has this key already")
      }
      for (what, text) in [("value", feature.value), ("absent", feature.absent)] {
        if feature.type == .bool, text != "0", text != "1" { wrong(feature.location, "'\(what)' of feature '\(feature.key)' must be 0 or 1") }
        guard feature.type != .bool else { continue }
        guard let number = UInt64(text) else {
          wrong(feature.location, "'\(what)' of feature '\(feature.key)' must be a number")
          continue
        }
        let range = (feature.minimum ?? 0)...max(feature.minimum ?? 0, feature.maximum ?? feature.type.largest ?? .max)
        if !range.contains(number) {
          wrong(feature.location, "'\(what)' \(number) of feature '\(feature.key)' is outside \(range.lowerBound) to \(range.upperBound)")
        }
      }
    }
    return found
  }
}
