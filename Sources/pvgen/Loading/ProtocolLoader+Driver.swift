import Yams

/// A protocol file with a `driver:` section says only what is the driver's own; records, keys and transport follow from that.
extension ProtocolLoader {
  func driverProtocol(_ root: YAMLMap) throws(InvalidProtocol) -> ProtocolDescription {
    for key in ["headers", "transport", "records", "keys", "layouts"] where root.has(key) {
      throw InvalidProtocol(root.location(of: key), "'\(key)' of a protocol with a 'driver' section follows from the section: leave it out")
    }
    guard let node = root.node("driver") else { throw InvalidProtocol(root.location, "a driver protocol needs 'driver'") }
    let name = try root.string("protocol")
    let everywhere: Set = ["kind", "transport", "version", "minimum_version", "features", "limits", "counters"]
    let entry = try map(node, "the driver", DriverSection.TransportKind.allCases.reduce(everywhere) { $0.union($1.keys) })
    let transport = entry.has("transport") ? try entry.choice("transport", DriverSection.TransportKind.self) : .requestRing
    for other in DriverSection.TransportKind.allCases {
      for key in other.keys.sorted() where entry.has(key) && !transport.keys.contains(key) {
        throw InvalidProtocol(entry.location(of: key), "'\(key)' of the driver belongs to transport \(other.rawValue); this driver's is \(transport.rawValue)")
      }
    }
    let prefix = Identifier.upperCamel(name)
    let data = try driverData(entry)
    let messages = try driverMessages(entry, transport, prefix, name, data?.pageCount ?? 0)
    let features = try each(entry, "features", driverFeature)
    let order = transport.ringPageOrders
    let driver = DriverSection(
      prefix: prefix, kind: try entry.optionalString("kind") ?? name.replacing("_", with: "-"), transport: transport,
      minimumVersion: try driverNumber(entry, "minimum_version", in: 1...1000, default: 1),
      version: try driverNumber(entry, "version", in: 1...1000, default: 1), isRepeatable: try entry.flag("repeatable"),
      ringPageOrder: try driverNumber(entry, "ring_page_order", in: order.range, default: order.usual),
      dataPageCount: data?.pageCount ?? 0, dataDirection: data?.direction ?? .toBackend, features: features,
      counters: try each(entry, "counters", driverCounter), laterFields: messages.flatMap(\.later), location: entry.location)
    return ProtocolDescription(
      name: name, module: .device(prefix), title: try root.string("title"), summary: try root.string("summary"),
      headers: [DriverHeader.path(name)],
      transport: Transport(
        kind: transport.kind, summary: transport.summary, request: transport.hasRequests ? prefix + "Request" : nil,
        response: transport.hasRequests ? prefix + "Response" : nil, location: entry.location),
      rules: try root.strings("rules"),
      constants: try each(root, "constants", constantGroup) + limits(entry, prefix),
      enumerations: try each(root, "enumerations", enumeration), flags: try each(root, "flags", flagSet),
      strings: try each(root, "strings", stringGroup), layouts: [], records: messages.map(\.record),
      keys: featureKeys(features, prefix, entry.location), driver: driver, location: root.location)
  }

  private typealias Message = (record: Record, later: [(record: String, field: String, version: Int)])

  /// What passes between the ends, with the framework's fields.
  private func driverMessages(
    _ driver: YAMLMap, _ transport: DriverSection.TransportKind, _ prefix: String, _ name: String, _ dataPageCount: Int
  ) throws(InvalidProtocol) -> [Message] {
    switch transport {
    case .requestRing, .mailbox:
      return [
        try driverRecord(driver, "request", prefix + "Request", name, framework: DriverFields.request(dataPageCount: dataPageCount)),
        try driverRecord(driver, "response", prefix + "Response", name, framework: DriverFields.response),
      ]
    case .eventRing:
      var messages: [Message] = []
      for key in ["to_frontend", "from_frontend"] where driver.has(key) {
        guard try !driver.list(key).isEmpty else { throw InvalidProtocol(driver.location(of: key), "'\(key)' of the driver has no fields") }
        messages.append(try driverRecord(driver, key, prefix + Identifier.upperCamel(key), name, framework: []))
      }
      if messages.isEmpty { throw InvalidProtocol(driver.location, "an event-ring driver needs 'to_frontend' or 'from_frontend'") }
      return messages
    case .byteStream: return []
    }
  }

  private func driverCounter(_ node: Node) throws(InvalidProtocol) -> DriverSection.Counter {
    let entry = try map(node, "a counter", ["name", "doc"])
    return DriverSection.Counter(name: try entry.string("name"), doc: try entry.string("doc"), location: entry.location)
  }

  private func driverNumber(_ entry: YAMLMap, _ key: String, in range: ClosedRange<Int>, default fallback: Int) throws(InvalidProtocol) -> Int {
    guard let value = try entry.optionalInteger(key) else { return fallback }
    guard let number = Int(exactly: value), range.contains(number) else {
      throw InvalidProtocol(entry.location(of: key), "'\(key)' of the driver is \(value), expected \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  private func driverData(_ driver: YAMLMap) throws(InvalidProtocol) -> (direction: DriverSection.DataDirection, pageCount: Int)? {
    guard let node = driver.node("data") else { return nil }
    let entry = try map(node, "the driver's data", ["direction", "pages"])
    return (
      try entry.choice("direction", DriverSection.DataDirection.self),
      try driverNumber(entry, "pages", in: 1...DriverSection.mostDataPages, default: 1)
    )
  }

  /// A record of the framework's fields and then the author's, each at its natural alignment, padded to a multiple of 8 bytes.
  private func driverRecord(
    _ driver: YAMLMap, _ key: String, _ name: String, _ protocolName: String, framework: [Record.Field]
  ) throws(InvalidProtocol) -> Message {
    var fields = framework
    var end = framework.reduce(0) { max($0, ($1.offsets[.x8664] ?? 0) + ($1.type.integer?.byteCount ?? 0) * ($1.count ?? 1)) }
    var later: [(record: String, field: String, version: Int)] = []
    var newest = 1
    for node in try driver.list(key) {
      let entry = try map(node, "a field of the driver's \(key)", ["name", "type", "count", "since", "unit", "doc"])
      let type = WireType(name: try entry.string("type"))
      guard let integer = type.integer else {
        throw InvalidProtocol(entry.location(of: "type"), "unknown type '\(type.name)'; known: \(WireType.knownNames.joined(separator: ", "))")
      }
      let since = try driverNumber(entry, "since", in: 1...1000, default: 1)
      guard since >= newest else {
        throw InvalidProtocol(entry.location(of: "since"), "a field of version \(since) after one of version \(newest): new fields go to the end")
      }
      newest = since
      let count = try entry.has("count") ? driverNumber(entry, "count", in: 1...64, default: 1) : nil
      let fieldName = try entry.string("name")
      let offset = (end + integer.byteCount - 1) / integer.byteCount * integer.byteCount
      end = offset + integer.byteCount * (count ?? 1)
      fields.append(
        Record.Field(
          name: fieldName, c: DriverFields.cName(fieldName), type: type, count: count, offsets: DriverFields.everywhere(offset),
          unit: try entry.optionalString("unit"), doc: try entry.string("doc"), location: entry.location))
      if since > 1 { later.append((name, fieldName, since)) }
    }
    let size = (end + 7) & ~7
    guard size <= DriverSection.largestEntry else {
      throw InvalidProtocol(driver.location(of: key), "the \(key) has \(size) bytes; a ring entry has at most \(DriverSection.largestEntry)")
    }
    return (
      record: Record(
        name: name, c: "struct \(protocolName)_\(key)", doc: DriverFields.doc(of: key, protocolName), sizes: DriverFields.everywhere(size),
        statedWordBits: 64, fields: fields, overlay: nil, location: driver.location(of: key)),
      later: later
    )
  }

  private func driverFeature(_ node: Node) throws(InvalidProtocol) -> DriverSection.Feature {
    let entry = try map(node, "a feature", ["key", "name", "type", "agreement", "value", "absent", "minimum", "maximum", "doc"])
    let key = try entry.string("key")
    let types: [String: KeyType] = ["bool": .bool, "u16": .u16, "u32": .u32, "u64": .u64]
    guard let type = types[try entry.string("type")] else {
      throw InvalidProtocol(entry.location(of: "type"), "type of a feature must be one of \(types.keys.sorted().joined(separator: ", "))")
    }
    let agreement = try entry.choice("agreement", DriverSection.Agreement.self)
    if agreement == .minimum, type == .bool {
      throw InvalidProtocol(entry.location(of: "agreement"), "feature '\(key)': 'minimum' needs a number; a bool is agreed by 'both'")
    }
    if agreement == .both, type != .bool {
      throw InvalidProtocol(entry.location(of: "agreement"), "feature '\(key)': 'both' needs a bool; a number is agreed by 'minimum'")
    }
    func bound(_ name: String) throws(InvalidProtocol) -> UInt64? {
      guard let value = try entry.optionalInteger(name) else { return nil }
      guard let bound = UInt64(exactly: value) else { throw InvalidProtocol(entry.location(of: name), "'\(name)' of feature '\(key)' is negative") }
      return bound
    }
    return DriverSection.Feature(
      key: key, swiftName: try entry.optionalString("name") ?? Identifier.lowerCamel(key.hasPrefix("feature-") ? String(key.dropFirst(8)) : key),
      type: type, agreement: agreement, value: try entry.string("value"), absent: try entry.optionalString("absent") ?? "0",
      minimum: try bound("minimum"), maximum: try bound("maximum"), doc: try entry.string("doc"), location: entry.location)
  }

  private func featureKeys(_ features: [DriverSection.Feature], _ prefix: String, _ location: SourceLocation) -> KeyGroup? {
    if features.isEmpty { return nil }
    func key(_ feature: DriverSection.Feature, _ directory: KeyGroup.Directory) -> KeyGroup.Key {
      KeyGroup.Key(
        name: feature.key, swiftName: feature.swiftName, directory: directory, writer: directory == .backend ? .backend : .frontend,
        type: feature.type, perQueue: false, unit: nil, defaultValue: feature.absent, minimum: feature.minimum, maximum: feature.maximum,
        agreement: directory == .backend ? nil : feature.agreement == .both ? "On when both ends have it" : "The smaller of both ends' numbers",
        deprecated: false, doc: feature.doc, location: feature.location)
    }
    return KeyGroup(
      name: prefix + "Keys", doc: "Store keys of the driver's features",
      keys: features.map { key($0, .backend) } + features.filter { $0.agreement != .backend }.map { key($0, .frontend) }, location: location)
  }

  /// `limits`: named numbers, as a group of constants.
  private func limits(_ driver: YAMLMap, _ prefix: String) throws(InvalidProtocol) -> [ConstantGroup] {
    let values = try each(driver, "limits") { (node) throws(InvalidProtocol) -> NamedValue in
      let entry = try map(node, "a limit", ["name", "value", "doc"])
      return NamedValue(
        name: try entry.string("name"), value: try entry.integer("value"), c: nil, unchecked: "defined here", abi: nil,
        doc: try entry.string("doc"), location: entry.location)
    }
    if values.isEmpty { return [] }
    return [ConstantGroup(name: prefix + "Limits", type: "Int", doc: "What the driver does not go beyond", values: values, location: driver.location)]
  }
}

/// The fields that the framework has in every driver's records.
enum DriverFields {
  static let here = SourceLocation(file: "pvgen", line: 1)

  static func everywhere(_ value: Int) -> [ABI: Int] { Dictionary(uniqueKeysWithValues: ABI.allCases.map { ($0, value) }) }

  /// What a record is, by the key that it stands under.
  static func doc(of key: String, _ protocolName: String) -> String {
    switch key {
    case "to_frontend": "An event of the \(protocolName) driver to the front-end"
    case "from_frontend": "An event of the \(protocolName) driver from the front-end"
    default: "A \(key) of the \(protocolName) driver"
    }
  }

  /// `maximumBytes` → `maximum_bytes`.
  static func cName(_ name: String) -> String {
    name.reduce(into: "") { text, letter in text += letter.isUppercase ? "_" + letter.lowercased() : String(letter) }
  }

  static func request(dataPageCount: Int) -> [Record.Field] {
    let identifier = field("identifier", "id", .integer(.u64), 0, "Chosen by the front-end and returned in the response")
    if dataPageCount == 0 { return [identifier] }
    return [
      identifier,
      field("dataLength", "data_length", .integer(.u32), 8, "Bytes of data. Untrusted: may be more than the pages hold"),
      field("dataOffset", "data_offset", .integer(.u16), 12, "Where the data starts in its first page, in bytes. Untrusted"),
      Record.Field(
        name: "dataReference", c: "data_ref", type: .identifier(.grantReference), count: dataPageCount, offsets: everywhere(16), unit: nil,
        doc: "The data's pages, in order", location: here),
    ]
  }

  static var response: [Record.Field] {
    [
      field("identifier", "id", .integer(.u64), 0, "The request's identifier"),
      field("dataLength", "data_length", .integer(.u32), 8, "Bytes that the back-end wrote into the request's data, from its start; 0 otherwise"),
      field("status", "status", .integer(.i16), 12, "A `RequestRingResult`"),
    ]
  }

  private static func field(_ name: String, _ c: String, _ type: WireType, _ offset: Int, _ doc: String) -> Record.Field {
    Record.Field(name: name, c: c, type: type, count: nil, offsets: everywhere(offset), unit: nil, doc: doc, location: here)
  }
}
