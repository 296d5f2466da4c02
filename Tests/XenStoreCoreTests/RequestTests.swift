import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

@Suite struct RequestTests {
  @Test(arguments: nodeScenarios + permissionScenarios + watchScenarios + transactionScenarios + messageScenarios)
  func answersAsTheRealDaemonDoes(scenario: Scenario) {
    let script = StoreScript()
    for step in scenario.steps {
      let output = script.ask(step.client, step.type, step.payload, in: step.transaction)
      #expect(output == step.output, "\(step.client) \(step.type) \(step.payload)")
    }
  }

  @Test(arguments: [20, 27, 1000, .max] as [UInt32])
  func answersAnUnknownTypeWithENOSYS(rawType: UInt32) {
    #expect(StoreScript().ask(.dom0, rawType: rawType, []) == ["dom0 ENOSYS"])
  }


  @Test func aDirectoryLargerThanAPacketComesInPartsThatCoverItOnce() throws {
    let script = StoreScript()
    let names = (0..<900).map { "child-\($0)" }
    for name in names { #expect(script.ask(.dom0, .write, "/big/\(name)|") == ["dom0 OK"]) }
    #expect(script.ask(.dom0, .directory, "/big|") == ["dom0 E2BIG"])

    var list = ""
    var generations: Set<Substring> = []
    while true {
      let line = try #require(script.ask(.dom0, .directoryPart, "/big|\(list.utf8.count)|").first)
      let reply = line.dropFirst("dom0 = ".count)
      #expect(reply.utf8.count <= 4096)
      let generationEnd = try #require(reply.firstIndex(of: "|"))
      generations.insert(reply[..<generationEnd])
      let part = reply[reply.index(after: generationEnd)...]
      if part == "|" || part.hasSuffix("||") {
        list += part.dropLast()
        break
      }
      list += part
    }
    #expect(generations.count == 1)
    #expect(Set(list.split(separator: "|").map(String.init)) == Set(names))
    #expect(list.split(separator: "|").count == names.count)
  }

  @Test func aPartOfADirectoryShowsThatItChanged() {
    let script = StoreScript()
    _ = script.ask(.dom0, .write, "/d/a|")
    let before = script.ask(.dom0, .directoryPart, "/d|0|")
    #expect(script.ask(.dom0, .directoryPart, "/d|0|") == before)
    _ = script.ask(.dom0, .write, "/d/b|")
    let after = script.ask(.dom0, .directoryPart, "/d|0|")
    #expect(after[0].prefix { $0 != "|" } != before[0].prefix { $0 != "|" })
    #expect(script.ask(.dom0, .directoryPart, "/d|0") == ["dom0 EINVAL"])
    #expect(script.ask(.dom0, .directoryPart, "/d|x|") == ["dom0 EINVAL"])
    #expect(script.ask(.dom0, .directoryPart, "/d|4000000000|")[0].hasSuffix("||"))
  }
}
