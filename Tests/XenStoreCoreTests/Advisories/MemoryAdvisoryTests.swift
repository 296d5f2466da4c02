import Testing
import XenInterface
@testable import XenStoreCore
import XenStoreWire

/// Advisories about what a guest can make the store hold, and about quotas.
@Suite struct MemoryAdvisoryTests {
  @Test("XSA-272: the quota counts in the same step as the change, so that no order of requests gets around it")
  func quotaAndChangeAreOne() {
    var quotas = XenStoreQuotas()
    quotas[.nodes] = 20
    let script = StoreScript(quotas: quotas)
    _ = script.ask(.dom0, .write, "/own|")
    _ = script.ask(.dom0, .setPermissions, "/own|n5|")
    var created = 1
    for number in 0..<40 {
      // Deep ones and flat ones, with and without value.
      let path = number.isMultiple(of: 3) ? "/own/a\(number)/b/c|" : "/own/x\(number)|"
      if script.ask(.dom5, number.isMultiple(of: 2) ? .write : .makeDirectory, path) == ["dom5 OK"] {
        created += number.isMultiple(of: 3) ? 3 : 1
      }
      #expect(script.core.usage[DomainID(rawValue: 5)]?.nodes.nodeCount == created)
    }
    #expect(created == 20)
    #expect(script.core.checkConsistency().isEmpty)
  }

  @Test("XSA-326: events and replies that nobody reads do not grow without bound, and nobody else waits for them")
  func unreadOutputIsBounded() {
    let script = StoreScript()
    let lazy = script.core.connect(domain: DomainID(rawValue: 5), privileged: false)
    _ = script.ask(.dom0, .write, "/area|")
    _ = script.ask(.dom0, .setPermissions, "/area|b0|")
    script.core.handle(XenStorePacket(.watch, strings: ["/area", "t"]), from: lazy)
    for number in 0..<100_000 {
      // The same few nodes again and again: an event that waits is not added once more.
      let path = "/area/\(number % 64)"
      script.core.handle(XenStorePacket(.write, payload: Array(path.utf8) + [0, 1]), from: script.connections[.dom0]!)
      _ = script.core.nextOutput(for: script.connections[.dom0]!)
    }
    #expect(script.core.connections[lazy]?.output.eventByteCount ?? 0 < 64 * 1024)
    #expect(script.core.fault(of: lazy) == nil)
    // Ever new nodes: the client is given up before it costs more than the limit.
    let name = String(repeating: "n", count: 1000)
    for number in 0..<10_000 where script.core.fault(of: lazy) == nil {
      script.core.handle(XenStorePacket(.write, payload: Array("/area/\(name)\(number)".utf8) + [0, 1]), from: script.connections[.dom0]!)
      _ = script.core.nextOutput(for: script.connections[.dom0]!)
      #expect(script.core.connections[lazy]?.output.eventByteCount ?? 0 <= script.core.quotas.unreadEventByteCount + 4096)
    }
    #expect(script.core.fault(of: lazy) != nil)
    #expect(script.ask(.dom0, .read, "/area/0|") == ["dom0 = \u{1}"])
  }

  @Test("XSA-330: watches that are reset leave nothing behind")
  func resetLeavesNothing() {
    let script = StoreScript()
    for round in 0..<20_000 {
      _ = script.ask(.dom5, .watch, "/a/b\(round)/c|t\(round)|")
      _ = script.ask(.dom5, .resetWatches, "")
    }
    #expect(script.core.watches.watchedPaths(below: .root).isEmpty)
    #expect(script.core.usage[DomainID(rawValue: 5)] == nil)
    #expect(script.core.checkConsistency().isEmpty)
  }

  @Test("XSA-354: many small keys meet a quota of bytes, not only one of nodes")
  func smallKeysMeetTheByteQuota() {
    var quotas = XenStoreQuotas()
    quotas[.nodes] = 1_000_000
    quotas[.memory] = 64 << 10
    let script = StoreScript(quotas: quotas)
    _ = script.ask(.dom0, .write, "/own|")
    _ = script.ask(.dom0, .setPermissions, "/own|n5|")
    var refused: [String] = []
    for number in 0..<20_000 {
      let answer = script.ask(.dom5, .write, "/own/d\(number / 50)/k\(number)|v")
      if answer != ["dom5 OK"] {
        refused = answer
        break
      }
    }
    #expect(refused == ["dom5 ENOMEM"])
    #expect(script.core.usage[DomainID(rawValue: 5)]?.memoryByteCount ?? 0 <= 64 << 10)
  }

  @Test("XSA-414, XSA-415, XSA-421: a transaction in which a creation failed commits nothing")
  func failedCreationsCommitNothing() {
    var quotas = XenStoreQuotas()
    quotas[.nodes] = 5
    let script = StoreScript(quotas: quotas)
    _ = script.ask(.dom0, .write, "/own|")
    _ = script.ask(.dom0, .setPermissions, "/own|n5|")
    #expect(script.ask(.dom5, .transactionStart, "|") == ["dom5 = <transaction>"])
    for number in 0..<4 { #expect(script.ask(.dom5, .write, "/own/k\(number)|", in: .opened) == ["dom5 OK"]) }
    #expect(script.ask(.dom5, .write, "/own/deep/er/est|", in: .opened) == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .transactionEnd, "T|", in: .opened) == ["dom5 ENOSPC"])
    #expect(script.ask(.dom0, .directory, "/own|") == ["dom0 = "])
    #expect(script.core.checkConsistency().isEmpty)
  }

  @Test("XSA-416: replies that are not read keep further requests waiting, not piling up")
  func unreadRepliesHoldRequestsBack() {
    let script = StoreScript()
    _ = script.ask(.dom0, .write, "/big|" + String(repeating: "v", count: 4000))
    let slow = script.core.connect(domain: .control, privileged: true)
    let request = XenStorePacket(.read, strings: ["/big"]).encoded
    for _ in 0..<1000 { script.core.receive(request, from: slow) }
    #expect(script.core.isHeldBack(slow))
    #expect(script.core.connections[slow]?.output.replyCount == 20)
    var answered = 0
    while script.core.nextOutput(for: slow) != nil { answered += 1 }
    #expect(answered == 1000)
  }

  @Test("XSA-419, XSA-483: a thousand lives of a domain leave nodes and counters as they were")
  func deadDomainsLeaveNothing() {
    let script = StoreScript()
    let guest = DomainID(rawValue: 9)
    let before = script.core.connections.count
    for life in 0..<1000 {
      _ = script.ask(.dom0, .introduce, "9|1|1|")
      _ = script.ask(.dom0, .write, "/local/domain/9|")
      _ = script.ask(.dom0, .setPermissions, "/local/domain/9|n9|")
      let connection = script.core.connect(domain: guest, privileged: false)
      for path in ["data/a/b", "orphan\(life)"] {
        script.core.handle(XenStorePacket(.write, payload: Array(path.utf8) + [0, 1]), from: connection)
      }
      script.core.handle(XenStorePacket(.watch, strings: ["data", "t"]), from: connection)
      script.core.handle(XenStorePacket(.transactionStart, payload: [0]), from: connection)
      _ = script.ask(.dom0, .release, "9|")
      script.core.disconnect(connection)
    }
    #expect(script.core.usage[guest] == nil)
    #expect(script.core.connections.count == before)
    #expect(script.ask(.dom0, .directory, "/local/domain|") == ["dom0 = "])
    #expect(script.core.checkConsistency().isEmpty)
  }
}
