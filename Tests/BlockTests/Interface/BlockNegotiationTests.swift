import BlockInterface
import Testing
import XenInterface
import Xenbus

/// Keys of a block device: what one end writes the other reads, and what is wrong is named.
@Suite struct BlockNegotiationTests {
  private func directory(_ side: XenbusSide, _ values: [String: String]) -> XenbusDirectory {
    XenbusDirectory(side: side, path: "/dir", domain: DomainID(rawValue: 7), values: values)
  }

  private let offered = BlockFeatures(maximumQueueCount: 4, maximumRingPageOrder: 4, maximumIndirectSegmentCount: 256)

  private func transport(queueCount: Int, order: Int, protocol: BlkifProtocol = .x8632) -> BlockTransport {
    var next: UInt32 = 100
    let queues = (0..<queueCount).map { index in
      let references = (0..<1 << order).map { _ in
        next += 1
        return GrantReference(rawValue: next)
      }
      return BlockTransport.Queue(ringReferences: references, port: EventChannelPort(rawValue: UInt32(index + 1)))
    }
    return BlockTransport(protocol: `protocol`, queues: queues, persistentGrants: true)
  }

  @Test(arguments: [1, 2, 4] as [Int], [0, 1, 4] as [Int])
  func aTransportIsReadAsItWasWritten(queueCount: Int, order: Int) throws {
    let written = transport(queueCount: queueCount, order: order)
    #expect(try BlockTransport(reading: directory(.frontend, written.keys), offered: offered) == written)
    // One queue has flat keys, more have none.
    #expect(written.keys.keys.contains("event-channel") == (queueCount == 1))
    #expect(written.keys.keys.contains("queue-0/event-channel") == (queueCount > 1))
    #expect(written.keys.keys.contains { $0.hasSuffix("ring-ref") } == (order == 0))
  }

  @Test func whatAnEarlierConnectionLeftIsNotTakenForTheNextOnes() throws {
    let transports = [1, 2, 4].flatMap { queueCount in [0, 1, 4].map { transport(queueCount: queueCount, order: $0) } }
    for earlier in transports {
      for next in transports {
        var keys = earlier.keys
        for name in next.obsoleteKeys { keys[name] = nil }
        keys.merge(next.keys) { _, new in new }
        #expect(try BlockTransport(reading: directory(.frontend, keys), offered: offered) == next)
      }
    }
  }

  @Test func featuresAndGeometryAreReadAsTheyWereWritten() throws {
    let features = BlockFeatures(
      maximumQueueCount: 3, maximumRingPageOrder: 2, maximumIndirectSegmentCount: 4096, persistentGrants: true, flush: true, barrier: true,
      discard: BlockDiscardLimits(granularityByteCount: 4096, alignmentByteCount: 512, isSecure: false))
    #expect(try BlockFeatures(reading: directory(.backend, features.keys)) == features)
    #expect(try BlockFeatures(reading: directory(.backend, [:])) == BlockFeatures())
    let geometry = BlockGeometry(sectorCount: 1000, sectorByteCount: 4096, physicalSectorByteCount: 8192, info: [.readOnly, .cdrom])
    #expect(try BlockGeometry(reading: directory(.backend, geometry.keys)) == geometry)
  }

  @Test func aFrontEndThatDoesNotSayItsLayoutGetsTheDefault() throws {
    var keys = transport(queueCount: 1, order: 0).keys
    keys["protocol"] = nil
    #expect(try BlockTransport(reading: directory(.frontend, keys), offered: offered).protocol == .x8664)
    #expect(try BlockTransport(reading: directory(.frontend, keys), offered: offered, defaultProtocol: .x8632).protocol == .x8632)
  }

  @Test(arguments: ["0", "5", "4294967295", "4294967296", "", "-1", "two", " 1", "1 ", "0x1", "18446744073709551617"] as [String])
  func refusesAWrongNumberOfQueues(text: String) {
    var keys = transport(queueCount: 2, order: 0).keys
    keys["multi-queue-num-queues"] = text
    expectError(keys, names: "multi-queue-num-queues")
  }

  @Test(arguments: ["5", "15", "16", "32", "-1", "", "a"] as [String])
  func refusesAWrongRingSize(text: String) {
    var keys = transport(queueCount: 1, order: 1).keys
    keys["ring-page-order"] = text
    expectError(keys, names: "ring-page-order")
  }

  @Test func namesWhatIsMissingOrMalformed() {
    let good = transport(queueCount: 2, order: 1).keys
    for key in good.keys.sorted() where key.hasPrefix("queue-") {
      var keys = good
      keys[key] = nil
      expectError(keys, names: key)
      for text in ["", "-1", "x", "4294967296", "1 2"] {
        keys[key] = text
        expectError(keys, names: key)
      }
    }
    var keys = good
    keys["queue-1/event-channel"] = "0"
    expectError(keys, names: "queue-1/event-channel")
    keys = good
    keys["queue-1/ring-ref1"] = good["queue-1/ring-ref0"]
    expectError(keys, names: "queue-1/ring-ref1")
    keys = good
    keys["protocol"] = "x86_128-abi"
    expectError(keys, names: "protocol")
  }

  private func expectError(_ keys: [String: String], names key: String, sourceLocation: SourceLocation = #_sourceLocation) {
    do throws(XenbusKeyError) {
      _ = try BlockTransport(reading: directory(.frontend, keys), offered: offered)
      Issue.record("\(key) was accepted", sourceLocation: sourceLocation)
    } catch {
      #expect(error.path == "/dir/" + key, sourceLocation: sourceLocation)
    }
  }

  @Test func aGeometryThatNoDiskHasIsRefused() {
    let good = BlockGeometry(sectorCount: 1000, sectorByteCount: 4096).keys
    for (key, text) in [
      ("sector-size", "1000"), ("sector-size", "0"), ("sector-size", "256"), ("physical-sector-size", "6144"), ("sectors", "36893488147419103232"),
      ("sectors", "18446744073709551615"), ("sectors", "-1"), ("info", "x"),
    ] {
      var keys = good
      keys[key] = text
      #expect(throws: XenbusKeyError.self, "\(key)=\(text)") { try BlockGeometry(reading: directory(.backend, keys)) }
    }
  }
}
