extension Validator {
  /// Messages: known types, fields inside the record, aligned, not overlapping, and cut out of words.
  func records(_ description: ProtocolDescription) -> [Diagnostic] {
    var found: [Diagnostic] = []
    for record in description.records {
      var names = UniqueNames("field name")
      for field in record.fields { names.add(field.name, field.location) }
      found += names.diagnostics
      found += types(record, description)
      if record.fields.isEmpty { found.append(Diagnostic(location: record.location, reason: "record '\(record.name)' has no fields")) }
      for abi in record.sizes.keys.sorted() { found += places(record, abi, description) }
      found += overlay(record, description)
    }
    return found
  }

  private func types(_ record: Record, _ description: ProtocolDescription) -> [Diagnostic] {
    record.fields.compactMap { field in
      guard case .record(let name) = field.type else { return nil }
      if name == record.name { return Diagnostic(location: field.location, reason: "record '\(name)' contains itself") }
      guard let element = description.record(named: name) else {
        let known = (WireType.knownNames + description.records.map(\.name)).joined(separator: ", ")
        return Diagnostic(location: field.location, reason: "unknown type '\(name)' of field '\(field.name)'; known: \(known)")
      }
      guard element.fields.allSatisfy({ $0.type.integer != nil && $0.count == nil }) else {
        return Diagnostic(location: field.location, reason: "type '\(name)' of field '\(field.name)' must have plain fields only")
      }
      return nil
    }
  }

  private func places(_ record: Record, _ abi: ABI, _ description: ProtocolDescription) -> [Diagnostic] {
    guard let size = record.sizes[abi] else { return [] }
    var found: [Diagnostic] = []
    func wrong(_ location: SourceLocation, _ reason: String) {
      found.append(Diagnostic(location: location, reason: "\(abi.rawValue): \(reason)"))
    }
    let wordBytes = record.wordBits(abi, in: description) / 8
    if size == 0 || size % wordBytes != 0 {
      wrong(record.location, "size \(size) of record '\(record.name)' must be a positive multiple of \(wordBytes)")
    }
    var taken: [(range: Range<Int>, name: String)] = []
    for field in record.fields {
      guard let offset = field.offsets[abi] else {
        wrong(field.location, "field '\(field.name)' has no offset")
        continue
      }
      guard let byteCount = field.byteCount(abi, in: description) else { continue }
      let range = offset..<offset + byteCount
      if range.upperBound > size {
        wrong(field.location, "field '\(field.name)' ends at \(range.upperBound), after the record's \(size) bytes")
      }
      if let other = taken.first(where: { $0.range.overlaps(range) }) {
        wrong(field.location, "field '\(field.name)' at \(range.lowerBound)..<\(range.upperBound) overlaps '\(other.name)' at \(other.range)")
      }
      taken.append((range, field.name))
      let alignment = field.type.integer.map { abi.alignment(ofIntegerWith: $0.byteCount) } ?? 4
      if offset % alignment != 0 {
        wrong(field.location, "offset \(offset) of field '\(field.name)' is not a multiple of \(alignment)")
      }
      if case .record(let name) = field.type, let element = description.record(named: name) {
        let elementABI = element.distinctABIs.contains(abi) ? abi : .x8664
        let elementBytes = element.wordBits(elementABI, in: description) / 8
        if elementBytes < wordBytes || offset % wordBytes != 0 {
          wrong(field.location, "field '\(field.name)' cannot be cut out of \(wordBytes * 8)-bit words; state 'word_bits: 32' for the record")
        }
      }
    }
    return found
  }

  private func overlay(_ record: Record, _ description: ProtocolDescription) -> [Diagnostic] {
    guard let overlay = record.overlay else { return [] }
    func wrong(_ reason: String) -> [Diagnostic] { [Diagnostic(location: overlay.location, reason: reason)] }
    guard let slot = description.record(named: overlay.record) else {
      return wrong("overlay of '\(overlay.record)', which is not a record of this protocol")
    }
    for abi in record.sizes.keys where (slot.sizes[abi] ?? 0) < (record.sizes[abi] ?? 0) {
      return wrong("record '\(record.name)' is larger than the slot '\(slot.name)' it shares (\(abi.rawValue))")
    }
    let ours = record.fields.first { $0.name == overlay.field }
    let theirs = slot.fields.first { $0.name == overlay.field }
    guard let ours, let theirs, ours.offsets == theirs.offsets, ours.type == theirs.type else {
      return wrong("field '\(overlay.field)' must be at the same place in '\(record.name)' and '\(slot.name)'")
    }
    let parts = overlay.equals.split(separator: ".").map(String.init)
    let enumeration = description.enumerations.first { $0.name == parts.first }
    guard parts.count == 2, let enumeration, enumeration.cases.contains(where: { $0.name == parts[1] }) else {
      return wrong("'\(overlay.equals)' is not a case of an enumeration of this protocol")
    }
    return []
  }

  /// Shared pages: distinct names, places that do not overlap.
  func layouts(_ description: ProtocolDescription) -> [Diagnostic] {
    var found: [Diagnostic] = []
    for layout in description.layouts {
      var names = UniqueNames("place name")
      var taken: [(range: Range<Int>, name: String)] = []
      for place in layout.places {
        names.add(place.name, place.location)
        let range = place.offset..<place.offset + (place.type?.byteCount ?? 1)
        if let other = taken.first(where: { $0.range.overlaps(range) }) {
          found.append(Diagnostic(location: place.location, reason: "place '\(place.name)' overlaps '\(other.name)'"))
        }
        taken.append((range, place.name))
      }
      found += names.diagnostics
    }
    return found
  }
}
