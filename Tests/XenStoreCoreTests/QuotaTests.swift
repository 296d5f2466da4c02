import TestSupport
import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

@Suite struct QuotaTests {
  private let five = DomainID(rawValue: 5)

  /// A store with a directory `/g` that domain 5 owns: one node, 24 + 8 + 2 bytes.
  private func script(_ change: (inout XenStoreQuotas) -> Void = { _ in }) -> StoreScript {
    var quotas = XenStoreQuotas()
    change(&quotas)
    let script = StoreScript(quotas: quotas)
    script.core.introduce(five)
    _ = script.ask(.dom0, .makeDirectory, "/g|")
    _ = script.ask(.dom0, .setPermissions, "/g|n5|")
    return script
  }

  /// One number of `quota 5`.
  private func held(_ name: String, _ script: StoreScript) -> Int? {
    let reply = script.ask(.dom0, .control, "quota|5|")[0]
    let line = reply.split(separator: "\n").first { $0.hasPrefix(name + " ") }
    return line.flatMap { Int($0.split(separator: " ")[2]) }
  }

  @Test func aGuestOwnsAThousandNodesAndNoMore() {
    let script = script()
    // With `/g` itself and ten directories.
    for number in 0..<989 { #expect(script.ask(.dom5, .write, "/g/\(number / 100)/\(number)|") == ["dom5 OK"]) }
    #expect(held("nodes", script) == 1000)
    #expect(script.ask(.dom5, .write, "/g/more|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .makeDirectory, "/g/more|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .read, "/g/more|") == ["dom5 ENOENT"])
    #expect(script.ask(.dom5, .remove, "/g/0/1|") == ["dom5 OK"])
    #expect(script.ask(.dom5, .write, "/g/more|") == ["dom5 OK"])
    #expect(held("nodes", script) == 1000)
    #expect(script.ask(.dom0, .control, "check|") == ["dom0 OK"])
  }

  @Test func nodesOnTheWayCountToo() {
    let script = script { $0.nodesPerDomain = 4 }
    #expect(script.ask(.dom5, .write, "/g/a/b/c/d|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .directory, "/g|") == ["dom5 = "])
    #expect(script.ask(.dom5, .write, "/g/a/b/c|") == ["dom5 OK"])
    #expect(held("nodes", script) == 4)
  }

  @Test func theControlDomainIsNotLimitedAndItsGiftsAreCounted() {
    let script = script { $0.nodesPerDomain = 2 }
    for name in ["a", "b", "c"] { #expect(script.ask(.dom0, .write, "/g/\(name)|") == ["dom0 OK"]) }
    #expect(held("nodes", script) == 4)
    #expect(script.ask(.dom5, .write, "/g/d|") == ["dom5 ENOSPC"])
  }

  @Test func anOwnerChangeMovesTheCount() {
    let script = script()
    _ = script.ask(.dom0, .write, "/g/a|12345")
    #expect(held("nodes", script) == 2)
    #expect(held("memory", script) == 34 + 24 + 8 + 4 + 5)
    #expect(script.ask(.dom0, .setPermissions, "/g/a|n6|r5|") == ["dom0 OK"])
    #expect(held("nodes", script) == 1)
    #expect(held("memory", script) == 34)
    #expect(script.ask(.dom0, .setPermissions, "/g/a|n5|r6|") == ["dom0 OK"])
    #expect(held("memory", script) == 34 + 24 + 16 + 4 + 5)
    #expect(script.ask(.dom0, .control, "check|") == ["dom0 OK"])
  }

  @Test func aNodesSizeIsItsValuePermissionsAndChildren() {
    let script = script()
    // 24 + 8 for the permission: one byte below 2048 is left for a value of 2015.
    #expect(script.ask(.dom5, .write, "/g/a|" + String(repeating: "x", count: 2016)) == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .write, "/g/a|" + String(repeating: "x", count: 2015)) == ["dom5 OK"])
    #expect(script.ask(.dom5, .write, "/g/a|" + String(repeating: "x", count: 2016)) == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .setPermissions, "/g/a|n5|r6|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .write, "/g/a/b|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .write, "/g/\(String(repeating: "n", count: 2012))|") == ["dom5 OK"])
    #expect(script.ask(.dom5, .write, "/g/b|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom0, .write, "/g/b|" + String(repeating: "x", count: 4000)) == ["dom0 OK"])
  }

  @Test func aGuestsMemoryIsLimitedOverAllItsNodesAndGivenBack() {
    let script = script { $0.memoryByteCount = 10_000 }
    var count = 0
    while script.ask(.dom5, .write, "/g/\(count)|" + String(repeating: "x", count: 966)) == ["dom5 OK"], count < 100 { count += 1 }
    // 24 + 8 + 4 + 966 a node, besides the 34 of `/g`.
    #expect(count == 9)
    #expect(held("memory", script) == 34 + 9 * 1002)
    #expect(script.ask(.dom5, .write, "/g/9|" + String(repeating: "x", count: 966)) == ["dom5 ENOMEM"])
    #expect(script.ask(.dom5, .write, "/g/8|" + String(repeating: "x", count: 1966)) == ["dom5 ENOMEM"])
    #expect(script.ask(.dom5, .write, "/g/8|short") == ["dom5 OK"])
    #expect(script.ask(.dom5, .write, "/g/9|" + String(repeating: "x", count: 950)) == ["dom5 OK"])
    #expect(script.ask(.dom5, .remove, "/g/0|") == ["dom5 OK"])
    #expect(script.ask(.dom0, .control, "check|") == ["dom0 OK"])
  }

  @Test func manySmallKeysMeetTheByteQuotaToo() {
    let script = script {
      $0.memoryByteCount = 50_000
      $0.nodesPerDomain = 0
      $0.nodeByteCount = 0
    }
    var count = 0
    while script.ask(.dom5, .write, "/g/\(count)|1") == ["dom5 OK"], count < 5000 { count += 1 }
    #expect(count > 1000 && count < 1400)
    #expect(script.core.refusals.map(\.quota) == [.memory])
  }

  @Test func watchesAndTheirTokensCostMemory() {
    let script = script { $0.memoryByteCount = 1000 }
    let token = String(repeating: "t", count: 200)
    #expect(script.ask(.dom5, .watch, "/g|\(token)1|")[0] == "dom5 OK")
    #expect(held("memory", script) == 34 + 64 + 2 + 201)
    #expect(script.ask(.dom5, .watch, "/g|\(token)2|")[0] == "dom5 OK")
    #expect(script.ask(.dom5, .watch, "/g|\(token)3|")[0] == "dom5 OK")
    #expect(script.ask(.dom5, .watch, "/g|\(token)4|") == ["dom5 ENOMEM"])
    #expect(script.ask(.dom5, .unwatch, "/g|\(token)1|") == ["dom5 OK"])
    #expect(script.ask(.dom5, .watch, "/g|\(token)4|")[0] == "dom5 OK")
    #expect(script.ask(.dom5, .resetWatches, "") == ["dom5 OK"])
    #expect(held("memory", script) == 34)
  }

  @Test func unreadEventsAreTheirDomainsMemory() {
    let script = script()
    _ = script.ask(.dom5, .watch, "/g|t|")
    #expect(held("memory", script) == 34 + 67)
    let writer = script.core.connect(domain: .control, privileged: true)
    script.core.handle(XenStorePacket(.write, payload: StoreScript.bytes("/g|1")), from: writer)
    let reading = script.core.connect(domain: .control, privileged: true)
    script.core.handle(XenStorePacket(.control, strings: ["quota", "5"]), from: reading)
    let reply = StoreScript.text(Array(script.core.nextOutput(for: reading)!.dropFirst(16)))
    // The value's byte, and the event: header, path and token with their NULs.
    #expect(reply.contains("\nmemory          :      \(34 + 67 + 1 + 16 + 5)\n"))
    #expect(script.takeOutput() == ["dom5 event /g|t|"])
    #expect(held("memory", script) == 34 + 67 + 1)
  }

  @Test func aTransactionMayLookAtSoManyNodesAndThenFailsAsAWhole() {
    let script = script { $0.nodesPerTransaction = 5 }
    for name in 0..<6 { _ = script.ask(.dom0, .write, "/g/\(name)|") }
    #expect(script.ask(.dom5, .transactionStart, "|") == ["dom5 = <transaction>"])
    for name in 0..<5 { #expect(script.ask(.dom5, .read, "/g/\(name)|", in: .opened) == ["dom5 = "]) }
    #expect(script.ask(.dom5, .read, "/g/0|", in: .opened) == ["dom5 = "])
    #expect(script.ask(.dom5, .write, "/g/5|1", in: .opened) == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .transactionEnd, "T|", in: .opened) == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .read, "/g/5|") == ["dom5 = "])
    #expect(script.core.refusals.map(\.quota) == [.transactionNodes])
    #expect(script.ask(.dom0, .control, "check|") == ["dom0 OK"])
  }

  @Test func aTransactionThatMeetsAQuotaChangesNothing() {
    let script = script { $0.nodesPerDomain = 3 }
    #expect(script.ask(.dom5, .transactionStart, "|") == ["dom5 = <transaction>"])
    #expect(script.ask(.dom5, .write, "/g/a|", in: .opened) == ["dom5 OK"])
    #expect(script.ask(.dom5, .write, "/g/b|", in: .opened) == ["dom5 OK"])
    #expect(script.ask(.dom5, .write, "/g/c|", in: .opened) == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .transactionEnd, "T|", in: .opened) == ["dom5 ENOSPC"])
    #expect(script.ask(.dom5, .directory, "/g|") == ["dom5 = "])
    #expect(held("nodes", script) == 1)
    #expect(held("memory", script) == 34)
  }

  @Test func aTransactionThatRemovesAndCreatesStaysWithinItsQuota() {
    let script = script { $0.nodesPerDomain = 3 }
    for name in ["a", "b"] { #expect(script.ask(.dom5, .write, "/g/\(name)|") == ["dom5 OK"]) }
    _ = script.ask(.dom5, .transactionStart, "|")
    #expect(script.ask(.dom5, .remove, "/g/a|", in: .opened) == ["dom5 OK"])
    #expect(script.ask(.dom5, .write, "/g/c|", in: .opened) == ["dom5 OK"])
    #expect(script.ask(.dom5, .transactionEnd, "T|", in: .opened) == ["dom5 OK"])
    #expect(held("nodes", script) == 3)
    #expect(script.ask(.dom0, .control, "check|") == ["dom0 OK"])
  }

  @Test func twoTransactionsCannotBothUseTheSameRoom() {
    let script = script { $0.nodesPerDomain = 4 }
    _ = script.ask(.dom0, .makeDirectory, "/h|")
    _ = script.ask(.dom0, .setPermissions, "/h|b0|")
    _ = script.ask(.dom0, .makeDirectory, "/i|")
    _ = script.ask(.dom0, .setPermissions, "/i|b0|")
    _ = script.ask(.dom5, .transactionStart, "|")
    for name in ["a", "b"] { #expect(script.ask(.dom5, .write, "/h/\(name)|", in: .opened) == ["dom5 OK"]) }
    let second = script.core.connect(domain: five, privileged: false)
    script.core.handle(XenStorePacket(.write, strings: ["/i/x"]), from: second)
    script.core.handle(XenStorePacket(.write, strings: ["/i/y"]), from: second)
    #expect(script.ask(.dom5, .transactionEnd, "T|", in: .opened) == ["dom5 ENOSPC"])
    #expect(script.ask(.dom0, .directory, "/h|") == ["dom0 = "])
    #expect(held("nodes", script) == 3)
    #expect(script.ask(.dom0, .control, "check|") == ["dom0 OK"])
  }

  @Test func whatATransactionKeepsIsItsDomainsMemory() {
    let script = script { $0.memoryByteCount = 20_000 }
    _ = script.ask(.dom5, .write, "/g/a|")
    _ = script.ask(.dom5, .transactionStart, "|")
    let value = String(repeating: "x", count: 1900)
    // Writing one node again and again keeps one value.
    for _ in 0..<30 { #expect(script.ask(.dom5, .write, "/g/a|" + value, in: .opened) == ["dom5 OK"]) }
    var count = 0
    while script.ask(.dom5, .write, "/g/\(count)|" + value, in: .opened) == ["dom5 OK"], count < 100 { count += 1 }
    #expect(count > 5 && count < 10)
    #expect(script.ask(.dom5, .transactionEnd, "T|", in: .opened) == ["dom5 ENOMEM"])
    #expect(held("memory", script)! < 200)
    #expect(script.ask(.dom0, .control, "check|") == ["dom0 OK"])
  }

  @Test func oneDomainsQuotaCanBeRaised() {
    let script = script { $0.watchesPerDomain = 1 }
    #expect(script.ask(.dom5, .watch, "/g|a|")[0] == "dom5 OK")
    #expect(script.ask(.dom5, .watch, "/g|b|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom0, .setQuota, "5|watches|2|") == ["dom0 OK"])
    #expect(script.ask(.dom5, .watch, "/g|b|")[0] == "dom5 OK")
    #expect(script.ask(.dom5, .watch, "/g|c|") == ["dom5 ENOSPC"])
    #expect(script.ask(.dom0, .setQuota, "5|watches|0|") == ["dom0 OK"])
    #expect(script.ask(.dom5, .watch, "/g|c|")[0] == "dom5 OK")
    #expect(script.ask(.dom6, .watch, "/g|a|")[0] == "dom6 OK")
    #expect(script.ask(.dom6, .watch, "/g|b|") == ["dom6 ENOSPC"])
  }

  @Test func howManyRequestsMayBeOutstandingIsSetForADomain() {
    let script = script()
    #expect(script.ask(.dom0, .setQuota, "5|outstanding|2|") == ["dom0 OK"])
    var bytes: [UInt8] = []
    for number in 1...5 as ClosedRange<UInt32> { XenStorePacket(.read, requestID: number, strings: ["/g"]).encode(into: &bytes) }
    script.core.receive(bytes, from: script.connections[.dom5]!)
    #expect(script.core.isHeldBack(script.connections[.dom5]!))
    #expect(script.ask(.dom0, .control, "quota|5|")[0].contains("outstanding     :        2\n"))
  }

  @Test func aShorterPathLimitHoldsForGuestsOnly() {
    let script = script()
    #expect(script.ask(.dom0, .setQuota, "5|path-max|6|") == ["dom0 OK"])
    #expect(script.ask(.dom5, .write, "/g/567|") == ["dom5 OK"])
    #expect(script.ask(.dom5, .write, "/g/5678|") == ["dom5 EINVAL"])
    #expect(script.ask(.dom5, .read, "/local/domain/5/123456|") == ["dom5 EACCES"])
    #expect(script.ask(.dom5, .read, "/local/domain/5/1234567|") == ["dom5 EINVAL"])
    #expect(script.ask(.dom0, .write, "/g/5678|") == ["dom0 OK"])
    #expect(script.core.refusals.map(\.quota) == [.pathLength])
  }

  @Test func everyRefusalNamesQuotaDomainLimitAndValue() {
    let script = script {
      $0.nodesPerDomain = 2
      $0.permissionsPerNode = 2
    }
    var told: [String] = []
    script.core.onRefusal = { told.append($0.description) }
    _ = script.ask(.dom5, .write, "/g/a|")
    for _ in 0..<12 { #expect(script.ask(.dom5, .write, "/g/b/c|") == ["dom5 ENOSPC"]) }
    #expect(script.ask(.dom5, .setPermissions, "/g/a|n5|r6|r7|") == ["dom5 ENOSPC"])
    #expect(
      told == [
        "quota nodes of domain 5: 4 asked, 2 allowed (refused once)", "quota nodes of domain 5: 4 asked, 2 allowed (refused 10 times)",
        "quota permissions of domain 5: 3 asked, 2 allowed (refused once)",
      ])
    #expect(script.core.refusals.map(\.count) == [12, 1])
  }

  @Test func passingTheWarningLevelIsToldOnceEachTime() {
    let script = script { $0.memoryWarningByteCount = 1000 }
    var told: [String] = []
    script.core.onRefusal = { told.append($0.description) }
    for value in ["1", "2", "3"] { #expect(script.ask(.dom5, .write, "/g/\(value)|" + String(repeating: "x", count: 960)) == ["dom5 OK"]) }
    #expect(told.count == 1)
    #expect(told.first == "quota soft-memory of domain 5: 1030 used, warning level 1000 (passed once)")
    for value in ["1", "2", "3"] { _ = script.ask(.dom5, .remove, "/g/\(value)|") }
    _ = script.ask(.dom5, .write, "/g/1|" + String(repeating: "x", count: 960))
    #expect(script.core.refusals.map(\.count) == [2])
  }

  @Test func aReleasedDomainsCountersQuotasAndRefusalsGoWithIt() {
    let script = script { $0.nodesPerDomain = 2 }
    _ = script.ask(.dom0, .setQuota, "5|watches|1|")
    _ = script.ask(.dom5, .write, "/g/a|")
    _ = script.ask(.dom5, .write, "/g/b|")
    _ = script.ask(.dom5, .watch, "/g|t|")
    _ = script.ask(.dom5, .transactionStart, "|")
    #expect(script.core.refusals.count == 1)
    script.core.release(five)
    script.core.disconnect(script.connections[.dom5]!)
    #expect(script.core.refusals.isEmpty)
    #expect(script.ask(.dom0, .getQuota, "5|watches|") == ["dom0 = 128|"])
    #expect(script.ask(.dom0, .control, "quota|5|") == ["dom0 ENOENT"])
    script.core.introduce(five)
    #expect(held("nodes", script) == 0)
    #expect(held("memory", script) == 0)
    #expect(script.ask(.dom0, .control, "check|") == ["dom0 OK"])
  }

  @Test func refusalsOfManyDomainsStayBounded() {
    let script = StoreScript()
    _ = script.ask(.dom0, .setQuota, "transactions|1|")
    for number in 1...2000 as ClosedRange<UInt16> {
      let guest = script.core.connect(domain: DomainID(rawValue: number), privileged: false)
      for _ in 0..<2 { script.core.handle(XenStorePacket(.transactionStart, payload: [0]), from: guest) }
      script.core.disconnect(guest)
    }
    #expect(script.core.refusals.count == 1024)
    #expect(script.core.refusals.last?.domain.rawValue == 2000)
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func countersEqualARecountAfterAnything(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let script = script {
      $0.nodesPerDomain = 12
      $0.memoryByteCount = 3000
      $0.watchesPerDomain = 4
    }
    _ = script.ask(.dom0, .setPermissions, "/|b0|")
    for step in 0..<1500 {
      let client = StoreScript.Client.allCases.randomElement(using: &generator)!
      let path = "/" + (0..<Int.random(in: 1...4, using: &generator)).map { _ in ["a", "b", "g"].randomElement(using: &generator)! }.joined(separator: "/")
      let inside: StoreScript.Transaction = Bool.random(using: &generator) ? .opened : .none
      switch Int.random(in: 0..<12, using: &generator) {
      case 0...3: _ = script.ask(client, .write, "\(path)|" + String(repeating: "v", count: Int.random(in: 0...300, using: &generator)), in: inside)
      case 4: _ = script.ask(client, .makeDirectory, "\(path)|", in: inside)
      case 5: _ = script.ask(client, .remove, "\(path)|", in: inside)
      case 6:
        let owner = ["0", "5", "6"].randomElement(using: &generator)!
        _ = script.ask(client, .setPermissions, "\(path)|b\(owner)|r6|", in: inside)
      case 7: _ = script.ask(client, .watch, "\(path)|\(step % 7)|")
      case 8: _ = script.ask(client, .transactionStart, "|")
      case 9: _ = script.ask(client, .transactionEnd, Bool.random(using: &generator) ? "T|" : "F|", in: .opened)
      case 10: if step % 10 == 0 { _ = script.ask(client, .resetWatches, "") }
      default: _ = script.ask(client, .directory, "\(path)|", in: inside)
      }
      #expect(script.core.checkConsistency() == [], "seed \(seed), step \(step)")
    }
  }
}
