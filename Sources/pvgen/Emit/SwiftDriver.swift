/// Writes what makes a protocol a driver: the conformances that PVDriver's halves are generic over, and the typed features.
struct SwiftDriver {
  let description: ProtocolDescription
  let driver: DriverSection

  private var prefix: String { driver.prefix }

  func files() -> [String: String] {
    let folder = description.swiftFolder
    var files = [folder + prefix + "Interface.swift": interface(), folder + prefix + "Features.swift": features()]
    if !driver.counters.isEmpty { files[folder + prefix + "Counter.swift"] = counters() }
    return files
  }

  private func interface() -> String {
    swiftFile(description) { file in
      file.line("public import PVDriver")
      // Public only where its types are: the compiler refuses anything else.
      if driver.transport != .byteStream { file.line("\(showsIdentifiers ? "public " : "")import XenInterface") }
      file.line()
      file.comment(description.summary.asSentence)
      file.block("public enum \(prefix)Interface: \(interfaceProtocol)") { body in
        for (name, type) in messageTypes { body.line("public typealias \(name) = \(type)") }
        body.line("public typealias Features = \(prefix)Features")
        body.line()
        body.line("public static let kind = DeviceKind(\"\(driver.kind)\")")
        body.line("@inlinable public static var versions: ClosedRange<UInt32> { \(driver.minimumVersion)...\(driver.version) }")
        if driver.transport.hasRequests {
          if driver.transport == .mailbox { body.line("@inlinable public static var carrier: RequestCarrier { .mailbox }") }
          body.line("@inlinable public static var dataDirection: GrantedDataDirection { .\(driver.dataDirection.swiftName) }")
          body.line("@inlinable public static var isRepeatable: Bool { \(driver.isRepeatable) }")
        }
        if driver.transport != .eventRing { body.line("@inlinable public static var ringPageOrder: Int { \(driver.ringPageOrder) }") }
      }
      switch driver.transport {
      case .requestRing, .mailbox: requestAndResponse(&file)
      case .eventRing: events(&file)
      case .byteStream: break
      }
    }
  }

  private var interfaceProtocol: String {
    switch driver.transport {
    case .requestRing, .mailbox: "RequestRingInterface"
    case .eventRing: "EventRingInterface"
    case .byteStream: "ByteStreamInterface"
    }
  }

  private var messageTypes: [(name: String, type: String)] {
    switch driver.transport {
    case .requestRing, .mailbox: [("Request", prefix + "Request"), ("Response", prefix + "Response")]
    case .eventRing:
      ["ToFrontend", "FromFrontend"].map { ($0, description.record(named: prefix + $0) == nil ? "NoEvent" : prefix + $0) }
    case .byteStream: []
    }
  }

  private func requestAndResponse(_ file: inout SourceText) {
    file.line()
    file.block("extension \(prefix)Request: RequestRingRequest") { body in
      body.line("@inlinable public static var dataPageCapacity: Int { \(driver.dataPageCount) }")
      if driver.dataPageCount == 0 {
        body.line("@inlinable public var dataOffset: UInt16 { get { 0 } set {} }")
        body.line("@inlinable public var dataLength: UInt32 { get { 0 } set {} }")
        body.line("@inlinable public func dataReference(at index: Int) -> GrantReference { preconditionFailure(\"requests have no data\") }")
        body.line("@inlinable public mutating func setDataReference(_ reference: GrantReference, at index: Int) { preconditionFailure(\"requests have no data\") }")
      }
      forget(prefix + "Request", &body)
      traceFields(&body)
    }
    file.line()
    file.block("extension \(prefix)Response: RequestRingResponse") { body in forget(prefix + "Response", &body) }
  }

  private func events(_ file: inout SourceText) {
    file.line()
    file.comment("A device of the driver's, as both ends describe it in the store.")
    file.line("public typealias \(prefix)Device = EventRingDevice<\(prefix)Interface>")
    for record in description.records {
      file.line()
      file.block("extension \(record.name): DriverRecord") { body in forget(record.name, &body) }
    }
  }

  /// The author's fields by name, for `pvio trace`.
  private func traceFields(_ body: inout SourceText) {
    let own = description.record(named: prefix + "Request")?.fields.filter { $0.location.file != DriverFields.here.file } ?? []
    var fields: [(name: String, isSigned: Bool, value: String)] = []
    for field in own {
      guard let integer = field.type.integer else { continue }
      let name = Identifier.escaped(field.name)
      for index in 0..<(field.count ?? 1) {
        var value = field.count == nil ? name : "\(name)(at: \(index))"
        if case .identifier = field.type { value += ".rawValue" }
        fields.append(
          (field.count == nil ? field.name : "\(field.name)\(index)", integer.isSigned, integer.isSigned ? "UInt64(bitPattern: Int64(\(value)))" : "UInt64(\(value))"))
      }
    }
    guard !fields.isEmpty else { return }
    // What a record of a trace has room for.
    let told = fields.prefix(8)
    body.line()
    body.block("public static var traceFields: [TraceField]") { body in
      body.line("[" + told.map { "TraceField(\"\($0.name)\"\($0.isSigned ? ", isSigned: true" : ""))" }.joined(separator: ", ") + "]")
    }
    body.line()
    body.block("public func traceValue(at index: Int) -> UInt64") { body in
      body.block("switch index") { body in
        for (index, field) in told.enumerated() { body.line("case \(index): return \(field.value)") }
        body.line("default: return 0")
      }
    }
  }

  private func counters() -> String {
    swiftFile(description) { file in
      file.line("public import PVDriver")
      file.line()
      file.comment("What the driver counts, for its status file.")
      file.block("public enum \(prefix)Counter: Int, DriverCounterName") { body in
        for counter in driver.counters {
          body.comment(counter.doc.asSentence)
          body.line("case \(Identifier.escaped(counter.name))")
        }
      }
    }
  }

  private var showsIdentifiers: Bool {
    if driver.transport.hasRequests && driver.dataPageCount == 0 { return true }
    return driver.laterFields.contains { later in
      guard case .identifier = description.record(named: later.record)?.fields.first(where: { $0.name == later.field })?.type else { return false }
      return true
    }
  }

  private func forget(_ record: String, _ body: inout SourceText) {
    let later = driver.laterFields.filter { $0.record == record }
    guard let layout = description.record(named: record), !later.isEmpty else {
      return body.line("@inlinable public mutating func forget(newerThan version: UInt32) {}")
    }
    body.line()
    body.line("@inlinable")
    body.block("public mutating func forget(newerThan version: UInt32)") { body in
      for field in later {
        guard let described = layout.fields.first(where: { $0.name == field.field }) else { continue }
        let name = Identifier.escaped(field.field)
        let zero = { if case .identifier(let type) = described.type { return "\(type.swiftName)(rawValue: 0)" } else { return "0" } }()
        body.line(
          described.count == nil
            ? "if version < \(field.version) { \(name) = \(zero) }"
            : "if version < \(field.version) { for index in 0..<Self.\(field.field)Capacity { set\(Identifier.capitalised(field.field))(\(zero), at: index) } }")
      }
    }
  }

  // MARK: Features

  private func features() -> String {
    swiftFile(description) { file in
      file.line("public import PVDriver")
      if !driver.features.isEmpty { file.line("import XenInterface") }
      file.line("public import Xenbus")
      file.line()
      file.comment("Features of the driver: what one end offers, or what both use.")
      file.block("public struct \(prefix)Features: DriverFeatures") { body in
        for feature in driver.features {
          body.comment("\(feature.doc.asSentence) Key `\(feature.key)`.")
          let value = feature.type == .bool ? (feature.value == "1" ? "true" : "false") : feature.value
          body.line("public var \(Identifier.escaped(feature.swiftName)): \(feature.type.swiftName) = \(value)")
        }
        if !driver.features.isEmpty { body.line() }
        body.line("public init() {}")
        body.line()
        body.block("public init(offeredBy backend: XenbusDirectory) throws(XenbusKeyError)") { body in
          for feature in driver.features { body.line("\(name(feature)) = try backend.value(\(key("Backend", feature)))") }
        }
        body.line()
        body.block("public init(acceptedBy frontend: XenbusDirectory, of offered: Self) throws(XenbusKeyError)") { body in
          for feature in driver.features { acceptance(feature, &body) }
        }
        body.line()
        body.block("public func agreed(with other: Self) -> Self") { body in
          body.line("\(driver.features.isEmpty ? "let" : "var") common = Self()")
          for feature in driver.features {
            switch feature.agreement {
            case .both: body.line("common.\(name(feature)) = \(name(feature)) && other.\(name(feature))")
            case .minimum: body.line("common.\(name(feature)) = min(\(name(feature)), other.\(name(feature)))")
            case .backend: body.line("common.\(name(feature)) = \(name(feature))")
            }
          }
          body.line("return common")
        }
        body.line()
        keys("offerKeys", "Backend", driver.features, &body)
        body.line()
        keys("acceptanceKeys", "Frontend", driver.features.filter { $0.agreement != .backend }, &body)
      }
    }
  }

  private func acceptance(_ feature: DriverSection.Feature, _ body: inout SourceText) {
    let name = name(feature)
    guard feature.agreement != .backend else { return body.line("\(name) = offered.\(name)") }
    body.line("\(name) = try frontend.value(\(key("Frontend", feature)))")
    let isFine = feature.agreement == .both ? "!\(name) || offered.\(name)" : "\(name) <= offered.\(name)"
    body.block("guard \(isFine) else") { body in
      body.line("throw frontend.error(\(key("Frontend", feature)).name, expected: \"no more than the back-end offers, \\(offered.\(name))\")")
    }
  }

  private func keys(_ property: String, _ side: String, _ features: [DriverSection.Feature], _ body: inout SourceText) {
    guard !features.isEmpty else { return body.line("public var \(property): [String: String] { [:] }") }
    body.block("public var \(property): [String: String]") { body in
      body.line("[")
      for feature in features { body.line("  \(key(side, feature)).name: \(key(side, feature)).format(\(name(feature))),") }
      body.line("]")
    }
  }

  private func name(_ feature: DriverSection.Feature) -> String { Identifier.escaped(feature.swiftName) }
  private func key(_ side: String, _ feature: DriverSection.Feature) -> String { "\(prefix)Keys.\(side).\(feature.swiftName)" }
}
