import Testing

@testable import pvgen

/// A driver with everything that the section can say.
private let sampleDriver = """
  protocol: sample
  title: A sample
  summary: For tests.
  driver:
    version: 2
    repeatable: true
    ring_page_order: 1
    data: {direction: both, pages: 3}
    request:
      - {name: operation, type: u8, doc: What to do}
      - {name: place, type: u64, unit: bytes, doc: Where}
      - {name: page, type: grant_ref, since: 2, doc: A page}
      - {name: word, type: u16, count: 2, since: 2, doc: Words}
    response:
      - {name: difference, type: i32, doc: How much}
    features:
      - {key: feature-fast, type: bool, agreement: both, value: "1", doc: Fast}
      - {key: max-depth, type: u32, agreement: minimum, value: "8", absent: "1", minimum: 1, maximum: 64, doc: Depth}
      - {key: size, type: u64, agreement: backend, value: "0", doc: Size}
    limits:
      - {name: depth, value: 64, doc: Deepest}
  """

@Suite struct DriverTests {
  private func load(_ text: String = sampleDriver) throws -> (ProtocolDescription, DriverSection) {
    let description = try ProtocolLoader(file: "p.yaml").load(text)
    return (description, try #require(description.driver))
  }

  private func mistakesOfDriver(_ old: String, _ new: String) -> [String] {
    precondition(sampleDriver.contains(old))
    return mistakes(replacing: old, with: new, in: sampleDriver)
  }

  @Test func fieldsAreLaidOutBehindTheFrameworksAsACCompilerDoesIt() throws {
    let (description, _) = try load()
    let request = try #require(description.record(named: "SampleRequest"))
    #expect(request.fields.map(\.name) == ["identifier", "dataLength", "dataOffset", "dataReference", "operation", "place", "page", "word"])
    #expect(request.fields.map { $0.offsets[.x8664] } == [0, 8, 12, 16, 28, 32, 40, 44])
    #expect(request.sizes == [.x8664: 48, .x8632: 48])
    let response = try #require(description.record(named: "SampleResponse"))
    #expect(response.fields.map { $0.offsets[.x8664] } == [0, 8, 12, 16])
    #expect(response.sizes[.x8664] == 24)
    #expect(Validator([description]).diagnostics().isEmpty)
  }

  @Test func aDriverWithoutDataHasNoFieldsForIt() throws {
    let (description, driver) = try load(sampleDriver.replacing("  data: {direction: both, pages: 3}\n", with: ""))
    #expect(description.record(named: "SampleRequest")?.fields.first?.name == "identifier")
    #expect(description.record(named: "SampleRequest")?.fields.contains { $0.name == "dataLength" } == false)
    #expect(driver.dataPageCount == 0)
  }

  @Test func everythingLandsInTheDriversOwnFolders() throws {
    let (description, _) = try load()
    let paths = Outputs([description]).files.map(\.path)
    for path in [
      "Sources/Devices/Sample/Interface/Generated/SampleInterface.swift", "Sources/Devices/Sample/Interface/Generated/SampleFeatures.swift",
      "Sources/Devices/Sample/Interface/Generated/SampleRequest.swift", "Sources/Devices/Sample/Interface/Generated/SampleKeys.swift",
      "Sources/Devices/Sample/Interface/Generated/SampleLimits.swift", "Tests/SampleTests/Generated/SampleHostileTests.swift",
      "Tests/SampleTests/Generated/SampleVectorTests.swift", "Tests/SampleTests/Generated/SampleLifeTests.swift",
      "Tests/SampleTests/Generated/SampleBenchmark.swift", "Fuzzing/Drivers/SampleTarget.swift", "Protocols/generated/drivers/sample.h",
      "Protocols/sample/README.md",
    ] { #expect(paths.contains(path), "\(path)") }
    #expect(!paths.contains { $0.hasPrefix("Sources/XenInterface") || $0.hasPrefix("Tests/XenInterfaceTests") })
  }

  @Test func fieldsOfALaterVersionAreForgottenForAnOlderPeer() throws {
    let (description, _) = try load()
    let interface = try #require(Outputs([description]).files.first { $0.path.hasSuffix("SampleInterface.swift") }?.content)
    #expect(interface.contains("if version < 2 { page = GrantReference(rawValue: 0) }"))
    #expect(interface.contains("if version < 2 { for index in 0..<Self.wordCapacity { setWord(0, at: index) } }"))
    #expect(interface.contains("1...2"))
  }

  @Test func featuresAreAgreedAsTheFileSays() throws {
    let (description, _) = try load()
    let features = try #require(Outputs([description]).files.first { $0.path.hasSuffix("SampleFeatures.swift") }?.content)
    #expect(features.contains("common.fast = fast && other.fast"))
    #expect(features.contains("common.maxDepth = min(maxDepth, other.maxDepth)"))
    #expect(features.contains("common.size = size"))
    #expect(!features.contains("SampleKeys.Frontend.size"))
  }

  @Test(arguments: [
    ("  data: {direction: both", "  data: {direction: up", "p.yaml:8: 'direction' of the driver's data is 'up'; known: to_backend, to_frontend, both"),
    ("pages: 3", "pages: 65", "p.yaml:8: 'pages' of the driver is 65, expected 1 to 64"),
    ("type: u8, doc: What", "type: u7, doc: What", "p.yaml:10: unknown type 'u7'; known: u8, u16, u32, u64, i16, i32, grant_ref, domid, port"),
    ("type: i32, doc: How much", "type: i32, offset: 8, doc: How much", "p.yaml:15: unknown key 'offset' in a field of the driver's response; known: count, doc, name, since, type, unit"),
    ("since: 2, doc: Words", "doc: Words", "p.yaml:13: a field of version 1 after one of version 2: new fields go to the end"),
    ("version: 2\n", "version: 1\n", "p.yaml:5: field 'page' is of version 2, but the protocol's version is 1"),
    ("agreement: both, value: \"1\"", "agreement: minimum, value: \"1\"", "p.yaml:17: feature 'feature-fast': 'minimum' needs a number; a bool is agreed by 'both'"),
    ("value: \"8\"", "value: \"80\"", "p.yaml:18: 'value' 80 of feature 'max-depth' is outside 1 to 64"),
    ("key: size", "key: entry-size", "p.yaml:19: feature 'entry-size': every driver has this key already"),
    ("summary: For tests.\n", "summary: For tests.\nrecords: []\n", "p.yaml:4: 'records' of a protocol with a 'driver' section follows from the section: leave it out"),
    ("word, type: u16, count: 2", "word, type: u64, count: 64", "p.yaml:9: the request has 560 bytes; a ring entry has at most 512"),
  ])
  func aMistakeIsToldWithItsLineAndReason(old: String, new: String, expected: String) {
    let found = mistakesOfDriver(old, new)
    #expect(found.contains(expected), "\(found)")
  }
}
