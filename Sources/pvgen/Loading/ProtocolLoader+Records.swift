import Yams

extension ProtocolLoader {
  func record(_ node: Node) throws(InvalidProtocol) -> Record {
    let entry = try map(node, "a record", ["name", "c", "doc", "size", "word_bits", "fields", "overlay"])
    var wordBits: Int?
    if let stated = try entry.optionalInteger("word_bits") {
      guard stated == 32 || stated == 64 else {
        throw InvalidProtocol(entry.location(of: "word_bits"), "'word_bits' of a record is \(stated), expected 32 or 64")
      }
      wordBits = Int(stated)
    }
    return Record(
      name: try entry.string("name"), c: try entry.string("c"), doc: try entry.string("doc"),
      sizes: try entry.numberPerABI("size"), statedWordBits: wordBits, fields: try each(entry, "fields", field),
      overlay: try overlay(entry), location: entry.location)
  }

  private func field(_ node: Node) throws(InvalidProtocol) -> Record.Field {
    let entry = try map(node, "a field", ["name", "c", "type", "count", "offset", "unit", "doc"])
    var count: Int?
    if let stated = try entry.optionalInteger("count") {
      count = try entry.small(stated, "count")
      guard stated > 0 else { throw InvalidProtocol(entry.location(of: "count"), "'count' of a field is \(stated), expected 1 or more") }
    }
    return Record.Field(
      name: try entry.string("name"), c: try entry.string("c"), type: WireType(name: try entry.string("type")), count: count,
      offsets: try entry.numberPerABI("offset"), unit: try entry.optionalString("unit"), doc: try entry.string("doc"),
      location: entry.location)
  }

  private func overlay(_ record: YAMLMap) throws(InvalidProtocol) -> Record.Overlay? {
    guard let node = record.node("overlay") else { return nil }
    let entry = try map(node, "an overlay", ["record", "field", "equals"])
    return Record.Overlay(
      record: try entry.string("record"), field: try entry.string("field"), equals: try entry.string("equals"),
      location: entry.location)
  }

  func sharedLayout(_ node: Node) throws(InvalidProtocol) -> SharedLayout {
    let entry = try map(node, "a layout", ["name", "c", "doc", "places"])
    return SharedLayout(
      name: try entry.string("name"), c: try entry.string("c"), doc: try entry.string("doc"),
      places: try each(entry, "places", place), location: entry.location)
  }

  private func place(_ node: Node) throws(InvalidProtocol) -> SharedLayout.Place {
    let entry = try map(node, "a place", ["name", "c", "offset", "type", "doc", "unchecked"])
    return SharedLayout.Place(
      name: try entry.string("name"), c: try entry.string("c"), offset: try entry.small(entry.integer("offset"), "offset"),
      type: entry.has("type") ? try entry.choice("type", IntegerType.self) : nil, doc: try entry.string("doc"),
      unchecked: try entry.optionalString("unchecked"), location: entry.location)
  }
}
