import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

@Suite struct ControlTests {
  private let five = DomainID(rawValue: 5)

  @Test func helpListsEveryCommandWithItsParameters() {
    let script = StoreScript()
    script.core.controlCommands["live-update"] = XenStoreControlCommand(parameters: "<file>") { _ in "OK" }
    let help = """
      dom0 = check\t
      log\ton|off
      logfile\t<file>
      memreport\t
      print\t<string>
      quota\t[set <name> <val>|<domid>|max [-r]|refusals [<skip>]|domains [<skip>]]
      quota-soft\t[set <name> <val>]
      help\t
      audit\t[<after-sequence>|on|off]
      live-update\t<file>
      |
      """
    #expect(script.ask(.dom0, .control, "help|") == [help])
    #expect(script.ask(.dom0, .control, "help|x|") == ["dom0 EINVAL"])
  }

  @Test func onlyPrivilegedClientsControl() {
    #expect(StoreScript().ask(.dom5, .control, "help|") == ["dom5 EACCES"])
  }

  @Test func commandsOfOthersGetTheirArguments() {
    let script = StoreScript()
    var arguments: [String] = []
    script.core.controlCommands["live-update"] = XenStoreControlCommand(parameters: "") {
      arguments = $0
      return String(repeating: "x", count: 5000)
    }
    let reply = script.ask(.dom0, .control, "live-update|-s|-t|60|")[0]
    #expect(arguments == ["-s", "-t", "60"])
    #expect(reply == "dom0 = " + String(repeating: "x", count: 4095) + "|")
  }

  @Test func theTraceShowsRequestsAndOutcomesButNoValues() {
    let script = StoreScript()
    var lines: [String] = []
    script.core.onTrace = { lines.append($0) }
    _ = script.ask(.dom0, .write, "/a|secret")
    #expect(script.ask(.dom0, .control, "log|on|") == ["dom0 OK"])
    _ = script.ask(.dom0, .write, "/a|secret")
    _ = script.ask(.dom5, .read, "/a|")
    #expect(script.ask(.dom0, .control, "log|off|") == ["dom0 OK"])
    _ = script.ask(.dom0, .write, "/a|secret")
    #expect(lines == ["0 - control log OK", "0 - write /a OK", "5 - read /a EACCES"])
    #expect(script.ask(.dom0, .control, "log|") == ["dom0 EINVAL"])
    #expect(script.ask(.dom0, .control, "log|maybe|") == ["dom0 EINVAL"])
  }

  @Test func noFileIsWrittenForAClient() {
    let script = StoreScript()
    #expect(script.ask(.dom0, .control, "logfile|/tmp/x|")[0].hasPrefix("dom0 = logfile is not supported: "))
    #expect(script.ask(.dom0, .control, "memreport|/tmp/x|")[0].hasPrefix("dom0 = memreport to a file is not supported: "))
    #expect(script.ask(.dom0, .control, "logfile|") == ["dom0 EINVAL"])
  }

  @Test func memreportCountsWhatIsThere() {
    let script = StoreScript()
    script.core.introduce(five)
    _ = script.ask(.dom0, .write, "/a/b|12")
    _ = script.ask(.dom5, .watch, "/a|t|")
    _ = script.ask(.dom6, .transactionStart, "|")
    let report = """
      dom0 = nodes: 3
      node-bytes: 105
      watches: 1
      transactions: 1
      connections: 3
      domains: 2
      queued-replies: 0
      queued-event-bytes: 0
      unhandled-request-bytes: 0
      audit-entries: 0
      refusals: 0
      |
      """
    #expect(script.ask(.dom0, .control, "memreport|") == [report])
  }

  @Test func quotaShowsTheSettings() {
    let settings = """
      dom0 = Quota settings:
      nodes            :     1000 Nodes per domain
      watches          :      128 Watches per domain
      transactions     :       10 Transactions per domain
      outstanding      :       20 Outstanding requests per domain
      transaction-nodes:     1024 Max. number of accessed nodes per transaction
      memory           :  2621440 Total Xenstore memory per domain (error level)
      node-size        :     2048 Max. size of a node
      path-max         :     2048 Max. length of a node path
      permissions      :        5 Max. number of permissions per node
      watch-event-msec :    20000 Milliseconds an unread watch event is kept
      |
      """
    let script = StoreScript()
    #expect(script.ask(.dom0, .control, "quota|") == [settings])
    #expect(
      script.ask(.dom0, .control, "quota-soft|")
        == ["dom0 = Quota settings:\nmemory           :  2097152 Total Xenstore memory per domain (warning level)\n|"])
  }

  @Test func quotaSetChangesOne() {
    let script = StoreScript()
    #expect(script.ask(.dom0, .control, "quota|set|nodes|7|") == ["dom0 OK"])
    #expect(script.ask(.dom0, .getQuota, "nodes|") == ["dom0 = 7|"])
    #expect(script.ask(.dom0, .control, "quota-soft|set|memory|9|") == ["dom0 OK"])
    #expect(script.ask(.dom0, .getQuota, "soft-memory|") == ["dom0 = 9|"])
    for wrong in ["quota|set|", "quota|set|nodes|", "quota|set|nodes|0|", "quota|set|nodes|x|", "quota|set|x|1|", "quota|set|soft-memory|1|", "quota|set|nodes|1|2|"] {
      #expect(script.ask(.dom0, .control, wrong) == ["dom0 EINVAL"], "\(wrong)")
    }
    #expect(script.ask(.dom0, .control, "quota-soft|set|nodes|1|") == ["dom0 EINVAL"])
  }

  @Test func quotaDomainsListsWhoeverIsKnownOrHoldsAnything() {
    let script = StoreScript()
    _ = script.ask(.dom0, .introduce, "3|1|1|")
    _ = script.ask(.dom0, .write, "/left|")
    _ = script.ask(.dom0, .setPermissions, "/left|n9|")
    #expect(script.ask(.dom0, .control, "quota|domains|") == ["dom0 = 0\n3\n5\n6\n9\n|"])
    #expect(script.ask(.dom0, .control, "quota|domains|4|") == ["dom0 = 9\n|"])
    #expect(script.ask(.dom0, .control, "quota|domains|5|") == ["dom0 = |"])
    #expect(script.ask(.dom0, .control, "quota|domains|x|") == ["dom0 EINVAL"])
  }

  @Test func quotaOfADomainShowsWhatItHolds() {
    let script = StoreScript()
    _ = script.ask(.dom0, .makeDirectory, "/g|")
    _ = script.ask(.dom0, .setPermissions, "/g|n5|")
    for name in ["a", "b"] { _ = script.ask(.dom5, .write, "/g/\(name)|") }
    _ = script.ask(.dom5, .remove, "/g/a|")
    let usage = """
      dom0 = Domain 5:
      nodes           :        2
      watches         :        0
      transactions    :        0
      outstanding     :        0
      memory          :       70
      |
      """
    #expect(script.ask(.dom0, .control, "quota|5|") == [usage])
    #expect(script.ask(.dom0, .control, "quota|0|")[0].contains("nodes           :        1\n"))
    #expect(script.ask(.dom0, .control, "quota|9|") == ["dom0 ENOENT"])
    #expect(script.ask(.dom0, .control, "quota|x|") == ["dom0 EINVAL"])
    #expect(script.ask(.dom0, .control, "quota|5|5|") == ["dom0 EINVAL"])
  }

  @Test func quotaMaxShowsTheMostOfAnyDomainUntilItIsReset() {
    let script = StoreScript()
    for token in ["a", "b", "c"] { _ = script.ask(.dom5, .watch, "/x|\(token)|") }
    _ = script.ask(.dom6, .watch, "/x|a|")
    _ = script.ask(.dom5, .resetWatches, "")
    #expect(script.ask(.dom0, .control, "quota|max|")[0].contains("\nwatches          :        3\n"))
    #expect(script.ask(.dom0, .control, "quota|max|")[0].contains("\noutstanding      :        1\n"))
    #expect(script.ask(.dom0, .control, "quota|max|-r|")[0].contains("\nwatches          :        1\n"))
    #expect(script.ask(.dom0, .control, "quota|max|")[0].hasPrefix("dom0 = Max. seen accounting values:\nnodes            :        0\n"))
    #expect(script.ask(.dom0, .control, "quota|max|-x|") == ["dom0 EINVAL"])
  }

  @Test func refusalsComeInPagesThatFitAPacket() throws {
    let script = StoreScript()
    _ = script.ask(.dom0, .setQuota, "transactions|1|")
    for number in 1...500 as ClosedRange<UInt16> {
      let guest = script.core.connect(domain: DomainID(rawValue: number), privileged: false)
      for _ in 0..<3 { script.core.handle(XenStorePacket(.transactionStart, payload: [0]), from: guest) }
    }
    var lines: [Substring] = []
    while true {
      let reply = try #require(script.ask(.dom0, .control, "quota|refusals|\(lines.count)|").first).dropFirst("dom0 = ".count)
      #expect(reply.utf8.count <= 4096 && reply.last == "|")
      if reply == "|" { break }
      lines += reply.dropLast().split(separator: "\n")
    }
    #expect(lines == (1...500).map { "transactions \($0) 1 2 2" })
    #expect(lines.map { XenStoreRefusal(line: $0) } == script.core.refusals)
    #expect(XenStoreRefusal(line: "transactions 1 1 2") == nil)
    #expect(script.ask(.dom0, .control, "quota|refusals|")[0].hasPrefix("dom0 = transactions 1 1 2 2\n"))
    #expect(script.ask(.dom0, .control, "quota|refusals|x|") == ["dom0 EINVAL"])
  }

  @Test func printGoesToTheDaemon() {
    let script = StoreScript()
    var printed: [String] = []
    script.core.onPrint = { printed.append($0) }
    #expect(script.ask(.dom0, .control, "print|hello|") == ["dom0 OK"])
    #expect(printed == ["hello"])
  }
}
