import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

@Suite struct DomainTests {
  private let five = DomainID(rawValue: 5)

  @Test func aReleasedDomainLeavesNothingToItsSuccessor() {
    let script = StoreScript()
    script.core.introduce(five)
    _ = script.ask(.dom0, .write, "/local/domain/5/device|")
    _ = script.ask(.dom0, .setPermissions, "/local/domain/5/device|n5|")
    _ = script.ask(.dom0, .write, "/shared|1")
    _ = script.ask(.dom0, .setPermissions, "/shared|n0|b5|r6|")
    #expect(script.ask(.dom5, .write, "/local/domain/5/device/vbd/1/state|1") == ["dom5 OK"])
    #expect(script.ask(.dom5, .write, "/shared/mine|1") == ["dom5 OK"])
    _ = script.ask(.dom5, .watch, "/shared|t|")
    _ = script.ask(.dom5, .transactionStart, "|")

    script.core.release(five)
    #expect(script.core.fault(of: script.connections[.dom5]!) == .domainReleased(five))
    #expect(!script.core.isIntroduced(five))
    #expect(script.ask(.dom0, .directory, "/local/domain/5|") == ["dom0 = "])
    #expect(script.ask(.dom0, .directory, "/shared|") == ["dom0 = "])
    #expect(script.ask(.dom0, .getPermissions, "/shared|") == ["dom0 = n0|r6|"])
    #expect(script.ask(.dom0, .control, "check|") == ["dom0 OK"])

    let successor = script.core.connect(domain: five, privileged: false)
    script.core.handle(XenStorePacket(.read, strings: ["/shared"]), from: successor)
    #expect(script.core.nextOutput(for: successor).map { StoreScript.text(Array($0.dropFirst(16))) } == "EACCES|")
  }

  @Test func aReleaseTellsWhoWatchesTheDomainsNodes() {
    let script = StoreScript()
    script.core.introduce(five)
    _ = script.ask(.dom0, .write, "/local/domain/5/device/state|4")
    _ = script.ask(.dom0, .setPermissions, "/local/domain/5/device|n5|r6|")
    _ = script.ask(.dom0, .setPermissions, "/local/domain/5/device/state|n5|r6|")
    #expect(script.ask(.dom6, .watch, "/local/domain/5/device/state|s|").count == 2)
    script.core.release(five)
    #expect(script.takeOutput() == ["dom6 event /local/domain/5/device/state|s|"])
  }

  @Test func aThousandLivesLeaveTheStoreAsItWas() {
    let script = StoreScript()
    _ = script.ask(.dom0, .write, "/pool|")
    for _ in 0..<1000 {
      script.core.introduce(five)
      _ = script.ask(.dom0, .setPermissions, "/pool|n0|b5|")
      let guest = script.core.connect(domain: five, privileged: false)
      script.core.handle(XenStorePacket(.write, strings: ["/pool/orphan/deep"]), from: guest)
      script.core.handle(XenStorePacket(.watch, strings: ["/pool/orphan", "t"]), from: guest)
      script.core.handle(XenStorePacket(.transactionStart, payload: [0]), from: guest)
      script.core.release(five)
      script.core.disconnect(guest)
    }
    #expect(script.ask(.dom0, .directory, "/pool|") == ["dom0 = "])
    #expect(script.ask(.dom0, .getPermissions, "/pool|") == ["dom0 = n0|"])
  }

  @Test(arguments: ["n5|", "n0|b5|"])
  func aTransactionDoesNotBringAReleasedDomainBack(permissions: String) {
    let script = StoreScript()
    script.core.introduce(five)
    _ = script.ask(.dom0, .write, "/a|1")
    _ = script.ask(.dom0, .transactionStart, "|")
    #expect(script.ask(.dom0, .setPermissions, "/a|" + permissions, in: .opened) == ["dom0 OK"])
    script.core.release(five)
    #expect(script.ask(.dom0, .transactionEnd, "T|", in: .opened) == ["dom0 EAGAIN"])
    #expect(script.ask(.dom0, .getPermissions, "/a|") == ["dom0 = n0|"])
  }

  @Test func aTransactionThatLookedAtAReleasedDomainsNodeMeetsAConflict() {
    let script = StoreScript()
    script.core.introduce(five)
    _ = script.ask(.dom0, .write, "/a|1")
    _ = script.ask(.dom0, .setPermissions, "/a|n5|")
    _ = script.ask(.dom0, .transactionStart, "|")
    #expect(script.ask(.dom0, .write, "/a/b|1", in: .opened) == ["dom0 OK"])
    script.core.release(five)
    #expect(script.ask(.dom0, .transactionEnd, "T|", in: .opened) == ["dom0 EAGAIN"])
    #expect(script.ask(.dom0, .read, "/a|") == ["dom0 ENOENT"])
  }
}
