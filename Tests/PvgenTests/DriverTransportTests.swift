import Testing

@testable import pvgen

/// A driver with a page of events, and one with a stream of bytes, with everything that they can say.
private let eventDriver = """
  protocol: sample
  title: A sample
  summary: For tests.
  driver:
    transport: event-ring
    version: 2
    to_frontend:
      - {name: number, type: u32, doc: A number}
      - {name: delta, type: i16, since: 2, doc: How much}
    from_frontend:
      - {name: command, type: u8, doc: What to do}
    features:
      - {key: feature-fast, type: bool, agreement: both, value: "1", doc: Fast}
    counters:
      - {name: lost, doc: Events that were lost}
  """

private let streamDriver = """
  protocol: sample
  title: A sample
  summary: For tests.
  driver:
    transport: byte-stream
    ring_page_order: 4
  """

/// A driver whose requests come one at a time.
private let mailboxDriver = """
  protocol: sample
  title: A sample
  summary: For tests.
  driver:
    transport: mailbox
    request:
      - {name: number, type: u32, doc: A number}
  """

@Suite struct DriverTransportTests {
  private func output(_ text: String, _ suffix: String) throws -> String {
    let description = try ProtocolLoader(file: "p.yaml").load(text)
    #expect(Validator([description]).diagnostics().isEmpty)
    return try #require(Outputs([description]).files.first { $0.path.hasSuffix(suffix) }?.content)
  }

  @Test func anEventDriverHasTwoRecordsWithoutFieldsOfTheFramework() throws {
    let description = try ProtocolLoader(file: "p.yaml").load(eventDriver)
    #expect(description.records.map(\.name) == ["SampleToFrontend", "SampleFromFrontend"])
    #expect(description.records.map { $0.sizes[.x8664] } == [8, 8])
    #expect(description.records[0].fields.map { $0.offsets[.x8664] } == [0, 4])
    let interface = try output(eventDriver, "SampleInterface.swift")
    #expect(interface.contains("enum SampleInterface: EventRingInterface"))
    #expect(interface.contains("typealias SampleDevice = EventRingDevice<SampleInterface>"))
    #expect(interface.contains("if version < 2 { delta = 0 }"))
  }

  @Test func aDirectionWithoutEventsHasNoRecord() throws {
    let oneWay = eventDriver.replacing("  from_frontend:\n    - {name: command, type: u8, doc: What to do}\n", with: "")
    #expect(try output(oneWay, "SampleInterface.swift").contains("typealias FromFrontend = NoEvent"))
    #expect(try !output(oneWay, "SampleLifeTests.swift").contains("client.send"))
  }

  @Test func aMailboxDriverIsARequestDriverWithAnotherCarrier() throws {
    let interface = try output(mailboxDriver, "SampleInterface.swift")
    #expect(interface.contains("enum SampleInterface: RequestRingInterface"))
    #expect(interface.contains("carrier: RequestCarrier { .mailbox }"))
    #expect(try output(mailboxDriver, "SampleHostileTests.swift").contains("HostileMailboxFrontend<SampleEngine>"))
  }

  @Test func aStreamDriverHasNoRecordsAndNoVectors() throws {
    #expect(try output(streamDriver, "SampleInterface.swift").contains("ringPageOrder: Int { 4 }"))
    let paths = Outputs([try ProtocolLoader(file: "p.yaml").load(streamDriver)]).files.map(\.path)
    #expect(!paths.contains { $0.hasSuffix("VectorTests.swift") })
    #expect(paths.contains("Tests/SampleTests/Generated/SampleHostileTests.swift"))
  }

  @Test(arguments: [
    (mailboxDriver, "#include <xen/io/tpmif.h>", "PLACE(struct tpmif_shared_page, state, 4);"),
    (eventDriver, "uint32_t in_cons, in_prod, out_cons, out_prod;", "PLACE(struct sample_page, out_prod, 12);"),
    (streamDriver, "DEFINE_XEN_FLEX_RING_AND_INTF(sample);", "PLACE(struct sample_data_intf, ring_order, 128);"),
  ])
  func theHeaderHasWhatBothEndsShareAndACCompilerChecksIt(text: String, header: String, check: String) throws {
    #expect(try output(text, "drivers/sample.h").contains(header))
    #expect(try output(text, "abi_check.c").contains(check))
  }

  @Test func countersBecomeNamesInSwiftAndOnThePage() throws {
    #expect(try output(eventDriver, "SampleCounter.swift").contains("public enum SampleCounter: Int, DriverCounterName"))
    #expect(try output(eventDriver, "sample/README.md").contains("| `lost` | Events that were lost |"))
  }

  @Test func aTraceTellsTheAuthorsFieldsOnly() throws {
    let interface = try output(
      """
      protocol: sample
      title: A sample
      summary: For tests.
      driver:
        data: {direction: both, pages: 3}
        request:
          - {name: place, type: u64, doc: Where}
          - {name: delta, type: i16, doc: How much}
          - {name: word, type: u16, count: 2, doc: Words}
      """, "SampleInterface.swift")
    #expect(interface.contains(#"[TraceField("place"), TraceField("delta", isSigned: true), TraceField("word0"), TraceField("word1")]"#))
    #expect(interface.contains("case 1: return UInt64(bitPattern: Int64(delta))"))
    #expect(interface.contains("case 3: return UInt64(word(at: 1))"))
  }

  @Test(arguments: [
    (eventDriver, "event-ring", "event-rings", "p.yaml:5: 'transport' of the driver is 'event-rings'; known: request-ring, mailbox, event-ring, byte-stream"),
    (
      eventDriver, "  to_frontend:", "  repeatable: true\n  to_frontend:",
      "p.yaml:7: 'repeatable' of the driver belongs to transport request-ring; this driver's is event-ring"
    ),
    (eventDriver, "name: lost, doc", "name: in-use, doc", "p.yaml:15: counter 'in-use' must be letters and digits, a letter first"),
    (eventDriver, "type: u8, doc", "type: u64, count: 64, doc: a}\n    - {name: more, type: u8, doc", "p.yaml:10: the from_frontend has 520 bytes; a ring entry has at most 512"),
    (
      mailboxDriver, "  request:", "  ring_page_order: 1\n  request:",
      "p.yaml:6: 'ring_page_order' of the driver belongs to transport request-ring; this driver's is mailbox"
    ),
    (streamDriver, "order: 4", "order: 0", "p.yaml:6: 'ring_page_order' of the driver is 0, expected 1 to 4"),
    (streamDriver, "  ring_page_order: 4", "  to_frontend: []", "p.yaml:6: 'to_frontend' of the driver belongs to transport event-ring; this driver's is byte-stream"),
    (streamDriver, "byte-stream\n  ring_page_order: 4", "event-ring", "p.yaml:5: an event-ring driver needs 'to_frontend' or 'from_frontend'"),
  ])
  func aMistakeIsToldWithItsLineAndReason(text: String, old: String, new: String, expected: String) {
    precondition(text.contains(old))
    let found = mistakes(replacing: old, with: new, in: text)
    #expect(found.contains(expected), "\(found)")
  }
}
