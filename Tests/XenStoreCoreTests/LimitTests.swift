import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

@Suite struct LimitTests {
  @Test func aGuestsWatchesAreCountedOverItsConnectionsAndGivenBack() {
    var quotas = XenStoreQuotas()
    quotas.watchesPerDomain = 3
    let script = StoreScript(quotas: quotas)
    let second = script.core.connect(domain: DomainID(rawValue: 5), privileged: false)
    for token in ["a", "b"] { #expect(script.ask(.dom5, .watch, "/x|\(token)|")[0] == "dom5 OK") }
    script.core.handle(XenStorePacket(.watch, strings: ["/x", "c"]), from: second)
    #expect(script.ask(.dom5, .watch, "/x|d|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom6, .watch, "/x|d|")[0] == "dom6 OK")
    script.core.disconnect(second)
    #expect(script.ask(.dom5, .watch, "/x|d|")[0] == "dom5 OK")
    #expect(script.ask(.dom5, .watch, "/x|e|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .unwatch, "/x|d|") == ["dom5 OK"])
    #expect(script.ask(.dom5, .watch, "/x|e|")[0] == "dom5 OK")
    #expect(script.ask(.dom5, .resetWatches, "") == ["dom5 OK"])
    for token in ["a", "b", "c"] { #expect(script.ask(.dom5, .watch, "/x|\(token)|")[0] == "dom5 OK") }
  }

  @Test func aGuestsTransactionsAreCounted() {
    let script = StoreScript()
    for _ in 0..<10 { #expect(script.ask(.dom5, .transactionStart, "|") == ["dom5 = <transaction>"]) }
    #expect(script.ask(.dom5, .transactionStart, "|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .transactionEnd, "F|", in: .opened) == ["dom5 OK"])
    #expect(script.ask(.dom5, .transactionStart, "|") == ["dom5 = <transaction>"])
    for _ in 0..<50 { #expect(script.ask(.dom0, .transactionStart, "|") == ["dom0 = <transaction>"]) }
  }

  @Test func anEventThatIsStillUnsentIsNotAddedAgain() {
    let script = StoreScript()
    _ = script.ask(.dom0, .watch, "/a|t|")
    let writer = script.core.connect(domain: .control, privileged: true)
    for value in ["1", "2", "3"] { script.core.handle(XenStorePacket(.write, payload: StoreScript.bytes("/a|" + value)), from: writer) }
    script.core.handle(XenStorePacket(.write, payload: StoreScript.bytes("/a/b|1")), from: writer)
    script.core.handle(XenStorePacket(.write, payload: StoreScript.bytes("/a|4")), from: writer)
    #expect(script.takeOutput() == ["dom0 event /a|t|", "dom0 event /a/b|t|"])
    script.core.handle(XenStorePacket(.write, payload: StoreScript.bytes("/a|5")), from: writer)
    #expect(script.takeOutput() == ["dom0 event /a|t|"])
  }

  @Test func aClientThatNeverReadsItsEventsIsGivenUp() {
    var quotas = XenStoreQuotas()
    quotas.unreadEventByteCount = 10_000
    let script = StoreScript(quotas: quotas)
    _ = script.ask(.dom0, .watch, "/|t|")
    let reader = script.connections[.dom0]!
    let writer = script.core.connect(domain: .control, privileged: true)
    var count = 0
    while script.core.fault(of: reader) == nil, count < 10_000 {
      script.core.handle(XenStorePacket(.write, strings: ["/n/\(count)"]), from: writer)
      _ = script.core.nextOutput(for: writer)
      count += 1
    }
    guard case .eventsUnread = script.core.fault(of: reader) else {
      Issue.record("the reader is still served after \(count) events")
      return
    }
    #expect(script.core.takeReadyConnections().contains(reader))
    #expect(!script.core.hasOutput(for: reader))
    script.core.handle(XenStorePacket(.read, strings: ["/n"]), from: reader)
    #expect(!script.core.hasOutput(for: reader))
  }

  @Test func requestsWaitWhileRepliesAreUnreadAndAreAllAnsweredInOrder() throws {
    let core = XenStoreCore()
    let client = core.connect(domain: .control, privileged: true)
    var bytes: [UInt8] = []
    for number in 1...100 as ClosedRange<UInt32> { XenStorePacket(.read, requestID: number, strings: ["/"]).encode(into: &bytes) }
    core.receive(bytes, from: client)
    #expect(core.isHeldBack(client))
    var answered: [UInt32] = []
    while let reply = core.nextOutput(for: client) {
      var parser = XenStorePacketParser()
      parser.feed(reply)
      guard case .packet(let packet) = parser.next() else { break }
      answered.append(packet.requestID)
    }
    #expect(answered == Array(1...100))
    #expect(!core.isHeldBack(client))
  }
}
