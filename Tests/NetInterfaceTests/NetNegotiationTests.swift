import NetInterface
import NetPackets
import Testing
import XenInterface
import Xenbus

/// Keys of a network device: what one end writes the other reads, and what is wrong is named.
@Suite struct NetNegotiationTests {
  private func directory(_ side: XenbusSide, _ values: [String: String]) -> XenbusDirectory {
    XenbusDirectory(side: side, path: "/dir", domain: DomainID(rawValue: 7), values: values)
  }

  private let offered = NetFeatures(
    maximumQueueCount: 4, capabilities: .all, splitEventChannels: true, multicastControl: true, controlRing: true, headroom: true)

  private func transport(queueCount: Int, split: Bool, control: Bool = true) -> NetTransport {
    let queues = (0..<UInt32(queueCount)).map { index in
      let first = EventChannelPort(rawValue: 1 + index * 2)
      return NetTransport.Queue(
        transmitRingReference: GrantReference(rawValue: 100 + index * 2),
        receiveRingReference: GrantReference(rawValue: 101 + index * 2),
        ports: split ? .split(transmit: first, receive: EventChannelPort(rawValue: 2 + index * 2)) : .shared(first))
    }
    return NetTransport(
      queues: queues,
      control: control ? NetTransport.Control(ringReference: GrantReference(rawValue: 99), port: EventChannelPort(rawValue: 90)) : nil)
  }

  @Test(arguments: [1, 2, 4] as [Int], [false, true])
  func aTransportIsReadAsItWasWritten(queueCount: Int, split: Bool) throws {
    for control in [false, true] {
      let written = transport(queueCount: queueCount, split: split, control: control)
      #expect(try NetTransport(reading: directory(.frontend, written.keys), offered: offered) == written)
      // One queue has flat keys, more have none.
      #expect(written.keys.keys.contains("tx-ring-ref") == (queueCount == 1))
      #expect(written.keys.keys.contains("queue-0/rx-ring-ref") == (queueCount > 1))
      #expect(written.keys.keys.contains { $0.hasSuffix("event-channel") } == !split)
      #expect(written.keys.keys.contains { $0.hasSuffix("event-channel-rx") } == split)
      #expect(written.keys.keys.contains("ctrl-ring-ref") == control)
    }
  }

  @Test func whatAnEarlierConnectionLeftIsNotTakenForTheNextOnes() throws {
    let transports = [1, 2, 4].flatMap { queueCount in
      [(false, false), (false, true), (true, false), (true, true)].map { transport(queueCount: queueCount, split: $0.0, control: $0.1) }
    }
    for earlier in transports {
      for next in transports {
        var keys = earlier.keys
        for name in next.obsoleteKeys { keys[name] = nil }
        keys.merge(next.keys) { _, new in new }
        #expect(try NetTransport(reading: directory(.frontend, keys), offered: offered) == next)
      }
    }
  }

  @Test func featuresAreReadAsTheyWereWritten() throws {
    for bits in 0..<32 as Range<UInt8> {
      var features = offered
      features.capabilities = FrameCapabilities(rawValue: bits)
      let read = try NetFeatures(reading: directory(.backend, features.keys))
      // Cutting needs several pages and a blank checksum.
      var expected = features
      if !features.capabilities.isSuperset(of: [.scatterGather, .checksumV4]) { expected.capabilities.remove(.segmentationV4) }
      if !features.capabilities.isSuperset(of: [.scatterGather, .checksumV6]) { expected.capabilities.remove(.segmentationV6) }
      #expect(read == expected)
    }
  }

  @Test func aBackEndThatOffersOnlyCopyingOffersNothingElse() throws {
    #expect(try NetFeatures(reading: directory(.backend, ["feature-rx-copy": "1"])) == NetFeatures())
    #expect(NetFeatures().capabilities == .checksumV4)
  }

  @Test(arguments: [nil, "0", "2", ""] as [String?])
  func aBackEndThatDoesNotCopyIsRefused(text: String?) {
    var keys = offered.keys
    keys["feature-rx-copy"] = text
    expectError(names: "feature-rx-copy") { () throws(XenbusKeyError) in _ = try NetFeatures(reading: directory(.backend, keys)) }
  }

  @Test(arguments: ["0", "-1", "1025", "", "x"] as [String])
  func aBackEndThatOffersAnImpossibleNumberOfQueuesIsRefused(text: String) {
    var keys = offered.keys
    keys["multi-queue-max-queues"] = text
    expectError(names: "multi-queue-max-queues") { () throws(XenbusKeyError) in _ = try NetFeatures(reading: directory(.backend, keys)) }
  }

  @Test func anAcceptanceIsReadAsItWasWritten() throws {
    for headroom in [0, 256, 2048] {
      for flag in [false, true] {
        let written = NetAcceptance(capabilities: .all, receiveNotification: flag, multicastControl: !flag, headroomByteCount: headroom)
        #expect(try NetAcceptance(reading: directory(.frontend, written.keys), offered: offered) == written)
      }
    }
    let plain = try NetAcceptance(reading: directory(.frontend, ["request-rx-copy": "1"]), offered: offered)
    #expect(plain == NetAcceptance(capabilities: .checksumV4, receiveNotification: false))
  }

  @Test func anAcceptanceIsHeldAgainstTheOffer() throws {
    let wanted = NetAcceptance(capabilities: .all, multicastControl: true)
    let read = try NetAcceptance(reading: directory(.frontend, wanted.keys), offered: NetFeatures())
    #expect(!read.multicastControl)
    // What the front-end takes has nothing to do with what the back-end takes.
    #expect(read.capabilities == .all)
    let headroom = NetAcceptance(headroomByteCount: 256)
    expectError(names: "xdp-headroom") { () throws(XenbusKeyError) in
      _ = try NetAcceptance(reading: directory(.frontend, headroom.keys), offered: NetFeatures())
    }
  }

  @Test(arguments: ["2049", "32767", "32768", "65535", "65536", "-1", "", "1 "] as [String])
  func headroomThatLeavesNoRoomIsRefused(text: String) {
    var keys = NetAcceptance().keys
    keys["xdp-headroom"] = text
    expectError(names: "xdp-headroom") { () throws(XenbusKeyError) in
      _ = try NetAcceptance(reading: directory(.frontend, keys), offered: offered)
    }
  }

  @Test(arguments: [nil, "0", "", "yes"] as [String?])
  func aFrontEndThatWantsNoCopiesIsRefused(text: String?) {
    var keys = NetAcceptance().keys
    keys["request-rx-copy"] = text
    expectError(names: "request-rx-copy") { () throws(XenbusKeyError) in
      _ = try NetAcceptance(reading: directory(.frontend, keys), offered: offered)
    }
  }

  @Test(arguments: ["0", "5", "4294967295", "4294967296", "", "-1", "two", " 1", "1 ", "0x1", "18446744073709551617"] as [String])
  func refusesAWrongNumberOfQueues(text: String) {
    var keys = transport(queueCount: 2, split: true).keys
    keys["multi-queue-num-queues"] = text
    expectTransportError(keys, names: "multi-queue-num-queues")
  }

  @Test func namesWhatIsMissingOrMalformed() {
    for queueCount in [1, 3] {
      for split in [false, true] {
        let good = transport(queueCount: queueCount, split: split).keys
        for key in good.keys.sorted() where key != "multi-queue-num-queues" {
          var keys = good
          keys[key] = nil
          expectTransportError(keys, names: key)
          for text in ["", "-1", "x", "4294967296", "1 2"] {
            keys[key] = text
            expectTransportError(keys, names: key)
          }
          if key.contains("event-channel") {
            keys[key] = "0"
            expectTransportError(keys, names: key)
          }
        }
      }
    }
  }

  @Test func aPageOrPortThatIsUsedTwiceIsNamed() {
    let good = transport(queueCount: 2, split: true).keys
    let places = ["queue-0/tx-ring-ref", "queue-0/rx-ring-ref", "queue-1/tx-ring-ref", "queue-1/rx-ring-ref", "ctrl-ring-ref"]
    let ports = ["queue-0/event-channel-tx", "queue-0/event-channel-rx", "queue-1/event-channel-tx", "queue-1/event-channel-rx", "event-channel-ctrl"]
    for names in [places, ports] {
      for (index, second) in names.enumerated() {
        for first in names[..<index] {
          var keys = good
          keys[second] = good[first]
          expectTransportError(keys, names: second)
        }
      }
    }
  }

  @Test func portsForEachRingThatWereNotOfferedAreNotTaken() throws {
    var plain = offered
    plain.splitEventChannels = false
    var keys = transport(queueCount: 1, split: true).keys
    expectError(names: "event-channel") { () throws(XenbusKeyError) in _ = try NetTransport(reading: directory(.frontend, keys), offered: plain) }
    keys["event-channel"] = "5"
    #expect(try NetTransport(reading: directory(.frontend, keys), offered: plain).queues[0].ports == .shared(EventChannelPort(rawValue: 5)))
    #expect(try NetTransport(reading: directory(.frontend, keys), offered: offered).queues[0].ports
      == .split(transmit: EventChannelPort(rawValue: 1), receive: EventChannelPort(rawValue: 2)))
  }

  @Test func aControlRingThatWasNotOfferedIsNotLookedAt() throws {
    var plain = offered
    plain.controlRing = false
    var keys = transport(queueCount: 1, split: false).keys
    keys["event-channel-ctrl"] = "nonsense"
    #expect(try NetTransport(reading: directory(.frontend, keys), offered: plain).control == nil)
  }

  @Test func severalQueuesWithFlatKeysAreRefused() {
    var keys = transport(queueCount: 1, split: false).keys
    keys["multi-queue-num-queues"] = "2"
    expectTransportError(keys, names: "queue-0/tx-ring-ref")
  }

  private func expectTransportError(_ keys: [String: String], names key: String, sourceLocation: SourceLocation = #_sourceLocation) {
    expectError(names: key, sourceLocation: sourceLocation) { () throws(XenbusKeyError) in
      _ = try NetTransport(reading: directory(.frontend, keys), offered: offered)
    }
  }

  private func expectError(
    names key: String, sourceLocation: SourceLocation = #_sourceLocation, _ read: () throws(XenbusKeyError) -> Void
  ) {
    do throws(XenbusKeyError) {
      try read()
      Issue.record("taken, although \(key) is wrong", sourceLocation: sourceLocation)
    } catch {
      #expect(error.path == "/dir/" + key, "\(error)", sourceLocation: sourceLocation)
    }
  }
}
