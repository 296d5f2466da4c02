import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

/// Advisories about who may see and change what. The ones about a domain's page are in `HostilePageTests`, those about turns in `FairnessTests`.
@Suite struct PermissionAdvisoryTests {
  private let script = StoreScript()

  @Test("XSA-57: what the toolstack makes for a guest to read cannot be written by the guest")
  func toolstackKeys() {
    for (path, permissions) in [("/local/domain/5", "n0|r5|"), ("/local/domain/5/name", "n0|r5|"), ("/local/domain/5/device", "n5|r0|")] {
      _ = script.ask(.dom0, .write, path + "|")
      #expect(script.ask(.dom0, .setPermissions, path + "|" + permissions) == ["dom0 OK"])
    }
    #expect(script.ask(.dom5, .write, "/local/domain/5/name|mine") == ["dom5 EACCES"])
    #expect(script.ask(.dom5, .write, "/local/domain/5/console/limit|1") == ["dom5 EACCES"])
    #expect(script.ask(.dom5, .remove, "/local/domain/5/name|") == ["dom5 EACCES"])
    #expect(script.ask(.dom5, .write, "device/own|1") == ["dom5 OK"])
  }

  @Test("XSA-115: a watch on the root or on a special name tells a guest nothing that it may not read")
  func watchesSpyOnNothing() {
    _ = script.ask(.dom0, .write, "/secret|1")
    _ = script.ask(.dom0, .write, "/open|1")
    _ = script.ask(.dom0, .setPermissions, "/open|r0|")
    _ = script.ask(.dom5, .watch, "/|t|")
    _ = script.ask(.dom5, .watch, "@releaseDomain|t|")
    _ = script.ask(.dom5, .watch, "@introduceDomain|t|")
    #expect(script.ask(.dom0, .write, "/secret|2") == ["dom0 OK"])
    #expect(script.ask(.dom0, .remove, "/secret|") == ["dom0 OK"])
    #expect(script.ask(.dom0, .introduce, "9|1|1|") == ["dom0 OK"])
    #expect(script.ask(.dom0, .release, "9|") == ["dom0 OK"])
    #expect(script.ask(.dom0, .write, "/open|2") == ["dom0 OK", "dom5 event /open|t|"])
  }

  @Test("XSA-322, XSA-417: a domain's number used again reads nothing of the one before")
  func numbersUsedAgain() {
    _ = script.ask(.dom0, .introduce, "7|1|1|")
    _ = script.ask(.dom0, .write, "/shared|1")
    _ = script.ask(.dom0, .setPermissions, "/shared|n0|r7|b6|")
    _ = script.ask(.dom0, .write, "/owned/below|1")
    _ = script.ask(.dom0, .setPermissions, "/owned|n7|")
    #expect(script.ask(.dom0, .release, "7|") == ["dom0 OK"])
    #expect(script.ask(.dom0, .getPermissions, "/shared|") == ["dom0 = n0|b6|"])
    #expect(script.ask(.dom0, .read, "/owned|") == ["dom0 ENOENT"])
    _ = script.ask(.dom0, .introduce, "7|1|1|")
    let next = script.core.connect(domain: DomainID(rawValue: 7), privileged: false)
    script.core.handle(XenStorePacket(.read, strings: ["/shared"]), from: next)
    #expect(script.core.nextOutput(for: next)?.suffix(7) == Array("EACCES\0".utf8)[...])
  }

  @Test("XSA-352: a guest cannot give a node, and with it its quota, to another domain")
  func ownersStay() {
    _ = script.ask(.dom0, .write, "/own|1")
    _ = script.ask(.dom0, .setPermissions, "/own|n5|")
    #expect(script.ask(.dom5, .setPermissions, "/own|n6|b5|") == ["dom5 EPERM"])
    #expect(script.ask(.dom5, .setPermissions, "/own|n5|b6|") == ["dom5 OK"])
    #expect(script.ask(.dom0, .setPermissions, "/own|n6|") == ["dom0 OK"])
  }

  @Test("XSA-353: the root has permissions like any other node")
  func theRootIsNotSpecial() {
    _ = script.ask(.dom0, .setPermissions, "/|n0|")
    for (type, payload) in [
      (XenStoreMessageType.setPermissions, "/|b5|"), (.directory, "/|"), (.read, "/|"), (.getPermissions, "/|"), (.write, "/|1"), (.write, "/new|1"),
      (.makeDirectory, "/new|"),
    ] {
      #expect(script.ask(.dom5, type, payload) == ["dom5 EACCES"], "\(type)")
    }
    let removal = script.ask(.dom5, .remove, "/|")
    #expect(removal == ["dom5 EINVAL"] || removal == ["dom5 EACCES"])
    #expect(script.ask(.dom0, .remove, "/|") == ["dom0 EINVAL"])
    #expect(script.ask(.dom0, .directory, "/|").count == 1)
  }
}
