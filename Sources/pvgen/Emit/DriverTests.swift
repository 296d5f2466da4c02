/// Writes the tests that every driver has: golden bytes, calls and reconnecting, hostile front-ends, random input, a benchmark.
struct DriverTests {
  let description: ProtocolDescription
  let driver: DriverSection

  var prefix: String { driver.prefix }

  static func folder(of description: ProtocolDescription) -> String { "Tests/\(Identifier.upperCamel(description.name))Tests/Generated" }

  func files() -> [String: String] {
    let folder = Self.folder(of: description) + "/"
    var files = [
      folder + "\(prefix)HostileTests.swift": hostile(), folder + "\(prefix)LifeTests.swift": life(),
      folder + "\(prefix)Benchmark.swift": benchmark(), "Fuzzing/Drivers/\(prefix)Target.swift": fuzzTarget(),
    ]
    if !description.records.isEmpty { files[folder + "\(prefix)VectorTests.swift"] = vectors() }
    return files
  }

  /// The framework's types for the transport: what makes both ends, hostile peers, input of random bytes, figures.
  private var support: (pair: String, hostile: String, fuzz: String, benchmark: String) {
    switch driver.transport {
    case .requestRing: ("DriverPair", "HostileFrontend", "DriverFuzz", "DriverBenchmark")
    case .mailbox: ("DriverPair", "HostileMailboxFrontend", "MailboxFuzz", "DriverBenchmark")
    case .eventRing: ("EventDriverPair", "HostileEventFrontend", "EventFuzz", "EventBenchmark")
    case .byteStream: ("StreamDriverPair", "HostileStreamFrontend", "StreamFuzz", "StreamBenchmark")
    }
  }

  // MARK: Golden bytes

  private func vectors() -> String {
    swiftFile(description) { file in
      file.line("import Testing")
      file.line("import XenInterface")
      file.line("import \(prefix)Driver")
      file.line()
      file.comment("Every field of every record at the place that the protocol file gives it, whoever reads or writes it.")
      file.block("@Suite struct \(prefix)VectorTests") { body in
        for (index, record) in description.records.enumerated() {
          if index > 0 { body.line() }
          vector(record, &body)
        }
      }
    }
  }

  private func vector(_ record: Record, _ body: inout SourceText) {
    var bytes = [UInt8](repeating: 0, count: record.sizes[.x8664] ?? 0)
    var sets: [String] = []
    var next: UInt64 = 1
    for field in record.fields {
      guard let integer = field.type.integer, let start = field.offsets[.x8664] else { continue }
      for index in 0..<(field.count ?? 1) {
        // Different in every byte, and small enough for signed types.
        let value = (0..<integer.byteCount).reduce(UInt64(0)) { $0 | (next + UInt64($1)) << UInt64($1 * 8) }
        next = (next + 7) % 100 + 1
        for byte in 0..<integer.byteCount { bytes[start + index * integer.byteCount + byte] = UInt8(truncatingIfNeeded: value >> UInt64(byte * 8)) }
        let literal: String
        if case .identifier(let type) = field.type { literal = "\(type.swiftName)(rawValue: \(value))" } else { literal = "\(value)" }
        let name = Identifier.escaped(field.name)
        sets.append(field.count == nil ? "record.\(name) = \(literal)" : "record.set\(Identifier.capitalised(field.name))(\(literal), at: \(index))")
      }
    }
    body.block("@Test func \(record.name.prefix(1).lowercased() + record.name.dropFirst())HasItsFieldsWhereTheProtocolSays()") { body in
      body.line("var record = \(record.name)()")
      for set in sets { body.line(set) }
      body.line("let bytes: [UInt8] = [")
      for start in stride(from: 0, to: bytes.count, by: 16) {
        body.line("  " + bytes[start..<min(bytes.count, start + 16)].map { "\($0)," }.joined(separator: " "))
      }
      body.line("]")
      body.line("#expect(WireBytes(record).bytes == bytes)")
      body.line("#expect(\(record.name)(copying: WireBytes(bytes), at: 0) == record)")
    }
  }

  // MARK: Behaviour

  private func hostile() -> String {
    swiftFile(description) { file in
      file.line("import DriverTestSupport")
      file.line("import PVDriver")
      file.line("import Testing")
      file.line("import XenInterface")
      file.line("import \(prefix)Driver")
      file.line()
      file.comment("Front-ends that keep to no rule.")
      file.block("@Suite struct \(prefix)HostileTests") { body in
        body.line("typealias Hostile = \(support.hostile)<\(prefix)Engine>")
        body.line()
        body.line("@Test(arguments: Hostile.Attack.allCases)")
        body.block("func theBackEndOutlivesAHostileFrontEnd(attack: Hostile.Attack) async throws") { body in
          body.line("let outcome = try await Hostile.attempt(attack)")
          body.line("#expect(outcome.leftOver == \"\")")
          body.block("switch attack") { body in
            for line in outcomes { body.line(line) }
          }
        }
        body.line()
        body.comment("For longer: `PVIO_FUZZ_SECONDS=10`, or with libFuzzer `Fuzzing/driver.sh \(prefix)`.")
        body.block("@Test func randomInputUpsetsNothing() async throws") { body in
          body.line("let found = try await \(support.fuzz)<\(prefix)Engine>.search(seconds: TestSettings.fuzzSeconds, seed: TestSettings.seed)")
          body.line("#expect(found == nil, \"\\(found?.wrong ?? \"\") for input \\(found?.input ?? [])\")")
        }
      }
    }
  }

  /// What must come of each attack, as cases of a switch.
  private var outcomes: [String] {
    switch driver.transport {
    case .requestRing:
      let grants = driver.dataDirection == .toBackend ? ".unknownGrants" : ".unknownGrants, .readOnlyGrants"
      let data = [
        "case \(grants):", "  #expect(outcome.statuses == [RequestRingResult.badGrant.rawValue: outcome.requestCount])",
        "case .dataBeyondItsPages, .dataOffsetBeyondItsPage:",
        "  #expect(outcome.statuses == [RequestRingResult.invalid.rawValue: outcome.requestCount])",
      ]
      return [
        "case .producerTooFarAhead, .producerGoesBack: #expect(outcome.counters.fault != nil)",
        "case .entriesThatChange: #expect(outcome.counters.fault == nil)",
        "case .eventStorm: #expect(outcome.counters.requests == 0)",
      ] + (driver.dataPageCount > 0 ? data : []) + [
        "default: #expect(outcome.statuses.values.reduce(0, +) == outcome.requestCount)"
      ]
    case .mailbox:
      return [
        "case .impossibleState, .tooLong, .extraPages: #expect(outcome.counters.fault != nil)",
        "case .eventStorm: #expect(outcome.counters.requests == 0)",
        "case .randomMessages, .messageThatChanges, .takesItBack: #expect(outcome.counters.fault == nil)",
      ]
    case .eventRing:
      return [
        "case .producerTooFarAhead, .consumerAhead: #expect(outcome.counters.fault != nil)",
        "case .randomEvents, .eventsThatChange, .eventStorm, .neverReads: #expect(outcome.counters.fault == nil)",
        "case .indicesAtRandom: break",
      ]
    case .byteStream:
      return [
        "case .impossibleOrder, .unknownGrants: #expect(outcome.refusal != nil)",
        "case .producerTooFarAhead: #expect(outcome.counters.fault != nil)",
        "case .randomBytes, .bytesThatChange, .eventStorm, .neverTakes: #expect(outcome.counters.fault == nil)",
        "case .indicesAtRandom: break",
      ]
    }
  }

  private func life() -> String {
    switch driver.transport {
    case .requestRing, .mailbox: requestLife()
    case .eventRing: eventLife()
    case .byteStream: streamLife()
    }
  }

  private func benchmark() -> String {
    swiftFile(description) { file in
      file.line("import DriverTestSupport")
      file.line("import Testing")
      file.line("import \(prefix)Driver")
      file.line()
      file.comment("What the driver moves: `PVIO_BENCHMARK=1 swift test -c release --filter \(prefix)Benchmark`.")
      file.block("@Suite struct \(prefix)Benchmark") { body in
        let isRequests = driver.transport.hasRequests
        body.line("@Test(.enabled(if: TestSettings.benchmarks)\(isRequests ? ", arguments: [1, 32]" : ""))")
        body.block("func \(isRequests ? "calls(depth: Int)" : driver.transport == .eventRing ? "events()" : "bytes()") async throws") { body in
          body.line("let figures = try await \(support.benchmark).run(\(prefix)Engine.self, \(benchmarkArguments))")
          body.line("print(\"\(driver.kind): \\(figures)\")")
          body.line("#expect(figures.\(driver.transport == .byteStream ? "byteCount" : "callCount") \(driver.transport == .byteStream ? "> 0" : "== TestSettings.callCount"))")
        }
      }
    }
  }

  private var benchmarkArguments: String {
    switch driver.transport {
    case .requestRing, .mailbox:
      let receiving = driver.dataPageCount > 0 && driver.dataDirection != .toBackend ? ", receiving: \(driver.dataPageCount * 4096)" : ""
      let sending = driver.dataPageCount > 0 && driver.dataDirection != .toFrontend
        ? ", sending: [UInt8](repeating: 1, count: \(driver.dataPageCount * 4096))" : ""
      return "callCount: TestSettings.callCount, depth: depth\(receiving)\(sending)"
    case .eventRing: return "callCount: TestSettings.callCount"
    case .byteStream: return "byteCount: TestSettings.callCount * 1024"
    }
  }

  private func fuzzTarget() -> String {
    swiftFile(description) { file in
      file.line("import DriverTestSupport")
      file.line("import \(prefix)Driver")
      file.line()
      file.comment("For libFuzzer: `Fuzzing/driver.sh \(prefix)`.")
      file.line("@_cdecl(\"LLVMFuzzerTestOneInput\")")
      file.block("public func fuzz\(prefix)(_ bytes: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt") { body in
        body.line("// SAFETY: libFuzzer passes `byteCount` readable bytes for the length of this call; they are copied at once.")
        body.line("let input = unsafe bytes.map { unsafe Array(UnsafeBufferPointer(start: $0, count: byteCount)) } ?? []")
        body.line("FuzzRun.wait { try await \(support.fuzz)<\(prefix)Engine>.run(input) }")
        body.line("return 0")
      }
    }
  }
}
