import TestSupport
import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

@Suite struct AuditTests {
  private let five = DomainID(rawValue: 5)

  /// A store whose clock advances by 1.5 seconds at each look, from 1 000 000.000007.
  private func script(_ audit: XenStoreAudit = XenStoreAudit()) -> StoreScript {
    let script = StoreScript()
    var now: UInt64 = 1_000_000_000_007 - 1_500_000
    script.core.startAudit(audit) {
      now += 1_500_000
      return now
    }
    return script
  }

  private func lines(_ script: StoreScript, after: Int? = nil) -> [String] {
    let reply = script.ask(.dom0, .control, "audit|" + (after.map { "\($0)|" } ?? ""))[0]
    return reply.dropFirst("dom0 = ".count).dropLast().split(separator: "\n").map(String.init)
  }

  @Test func everyChangeIsOneLineOfAFixedForm() {
    let script = script()
    script.core.introduce(five)
    let client = script.core.connect(domain: .control, privileged: true, label: "pid:1,uid:0 x\n")
    script.core.handle(XenStorePacket(.write, strings: ["/a/b", "secret"]), from: client)
    _ = script.ask(.dom0, .makeDirectory, "/d|")
    _ = script.ask(.dom0, .makeDirectory, "/d|")
    _ = script.ask(.dom0, .setPermissions, "/d|b5|")
    _ = script.ask(.dom5, .write, "/d/mine|1")
    _ = script.ask(.dom5, .remove, "/d/mine|")
    _ = script.ask(.dom5, .remove, "/d/mine|")
    _ = script.ask(.dom5, .read, "/d|")
    _ = script.ask(.dom6, .write, "/a/b|1")
    _ = script.ask(.dom0, .introduce, "9|1|1|")
    _ = script.ask(.dom0, .setTarget, "9|5|")
    _ = script.ask(.dom0, .resume, "9|")
    _ = script.ask(.dom0, .release, "9|")
    _ = script.ask(.dom0, .setFeature, "8|1|")
    _ = script.ask(.dom0, .setQuota, "8|nodes|1|")
    _ = script.ask(.dom0, .control, "quota|set|nodes|1|")
    #expect(
      lines(script) == [
        "1 1000000.000007 0 daemon introduce /local/domain/5",
        "2 1000001.500007 0 pid:1,uid:0_x_ write /a/b",
        "3 1000003.000007 0 - mkdir /d",
        "4 1000004.500007 0 - setperms /d",
        "5 1000006.000007 5 - write /d/mine",
        "6 1000007.500007 5 - rm /d/mine",
        "7 1000009.000007 0 - introduce /local/domain/9",
        "8 1000010.500007 0 - settarget /local/domain/9",
        "9 1000012.000007 0 - resume /local/domain/9",
        "10 1000013.500007 0 - release /local/domain/9",
        "11 1000015.000007 0 - setfeature /local/domain/8",
        "12 1000016.500007 0 - setquota /local/domain/8",
        "13 1000018.000007 0 - setquota /",
      ])
    #expect(lines(script, after: 11).map { $0.prefix(2) } == ["12", "13"])
    #expect(lines(script, after: 13).isEmpty)
    #expect(lines(script, after: 1000).isEmpty)
  }

  @Test func aLineReadsBackAsTheSameEntry() throws {
    let script = script()
    let client = script.core.connect(domain: .control, privileged: true, label: "pid:7,uid:8")
    script.core.handle(XenStorePacket(.makeDirectory, strings: ["/d"]), from: client)
    _ = script.ask(.dom0, .write, "/a/b@c|1")
    _ = script.ask(.dom0, .setPermissions, "/a|n5|")
    let entries = try #require(script.core.audit).entries(after: 0)
    for entry in entries { #expect(XenStoreAudit.Entry(line: entry.description) == entry) }
    for wrong in ["", "1 1.000000 0 - write", "1 1.00000 0 - write /", "x 1.000000 0 - write /", "1 1.000000 0 - read /", "1 1.000000 0 - write a", "1 1.000000 0  - write /"] {
      #expect(XenStoreAudit.Entry(line: wrong) == nil, "\(wrong)")
    }
  }

  @Test func whatTheDaemonDoesItselfIsItsOwn() {
    let script = script()
    script.core.introduce(five)
    script.core.introduce(five)
    script.core.release(five)
    script.core.release(five)
    #expect(
      lines(script) == [
        "1 1000000.000007 0 daemon introduce /local/domain/5",
        "2 1000001.500007 0 daemon release /local/domain/5",
      ])
  }

  @Test func aTransactionsChangesAreNotedWhenItIsCommittedAndOnlyThen() {
    let script = script()
    _ = script.ask(.dom0, .transactionStart, "|")
    _ = script.ask(.dom0, .write, "/a|1", in: .opened)
    _ = script.ask(.dom0, .write, "/a|2", in: .opened)
    _ = script.ask(.dom0, .write, "/b|2", in: .opened)
    #expect(lines(script).isEmpty)
    _ = script.ask(.dom0, .transactionEnd, "T|", in: .opened)
    #expect(lines(script).map { $0.split(separator: " ").last } == ["/a", "/b"])
    _ = script.ask(.dom0, .transactionStart, "|")
    _ = script.ask(.dom0, .write, "/c|1", in: .opened)
    _ = script.ask(.dom0, .transactionEnd, "F|", in: .opened)
    #expect(lines(script).count == 2)
  }

  @Test func onlyTheLastChangesAreKeptAndAGapShows() {
    let script = script(XenStoreAudit(capacity: 3))
    for number in 1...5 { _ = script.ask(.dom0, .write, "/\(number)|") }
    #expect(lines(script).map { $0.first } == ["3", "4", "5"])
    #expect(lines(script, after: 3).map { $0.first } == ["4", "5"])
    #expect(script.core.audit?.count == 3)
    #expect(script.core.audit?.lastSequence == 5)
  }

  @Test func theRecordIsBoundedInBytesToo() {
    let script = script(XenStoreAudit(capacity: 1000, byteLimit: 10_000))
    for number in 0..<100 { _ = script.ask(.dom0, .write, "/\(String(repeating: "n", count: 1000))\(number)|") }
    #expect(script.core.audit?.count == 8)
    #expect(script.core.audit?.lastSequence == 100)
  }

  /// The memory goes round and round: entries of every length come to lie over its end.
  @Test(arguments: [0, 1, 2] as [UInt64])
  func theLastChangesAreTheOnesThatWereMade(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let byteLimit = 20_000
    let script = script(XenStoreAudit(capacity: 100, byteLimit: byteLimit))
    var paths: [String] = []
    for _ in 0..<2000 {
      let name = String(repeating: "n", count: Int.random(in: 1...700, using: &generator))
      paths.append("/\(name)")
      _ = script.ask(.dom0, Bool.random(using: &generator) ? .write : .makeDirectory, "/\(name)|")
      // A name may be there already, and making it again changes nothing.
      _ = script.ask(.dom0, .remove, "/\(name)|")
      let audit = try #require(script.core.audit)
      let entries = audit.entries(after: 0)
      #expect(entries.map(\.sequence) == Array((audit.lastSequence - UInt64(entries.count) + 1)...audit.lastSequence))
      let last = entries.suffix(2)
      #expect(last.map(\.path.text) == [paths.last, paths.last], "seed \(seed)")
      #expect(last.last?.operation == .remove)
      let oldest = try #require(entries.first)
      #expect(paths.suffix(entries.count / 2 + 1).contains(oldest.path.text), "seed \(seed)")
    }
  }

  @Test func pagesFitAPacketAndCoverEverythingOnce() {
    let script = script()
    for number in 0..<300 { _ = script.ask(.dom0, .write, "/some/directory/of/a/name/\(number)|") }
    var all: [String] = []
    var pages = 0
    while true {
      let page = lines(script, after: all.last.flatMap { Int($0.split(separator: " ")[0]) } ?? 0)
      if page.isEmpty { break }
      #expect(page.joined(separator: "\n").utf8.count + 2 <= 4096)
      all += page
      pages += 1
    }
    #expect(all.compactMap { Int($0.split(separator: " ")[0]) } == Array(1...300))
    #expect(pages > 3)
  }

  @Test func theLongestPathFitsALine() {
    let script = script()
    let path = "/local/domain/5/" + String(repeating: "n", count: 2048)
    _ = script.ask(.dom0, .write, path + "|")
    #expect(lines(script).first?.hasSuffix(" write " + path) == true)
  }

  @Test func itCanBeSwitchedOffAndOn() {
    let script = StoreScript()
    #expect(script.ask(.dom0, .control, "audit|") == ["dom0 ENOSYS"])
    #expect(script.ask(.dom0, .control, "audit|on|") == ["dom0 OK"])
    _ = script.ask(.dom0, .write, "/a|")
    #expect(lines(script) == ["1 0.000000 0 - write /a"])
    #expect(script.ask(.dom0, .control, "audit|off|") == ["dom0 OK"])
    #expect(script.ask(.dom0, .control, "audit|") == ["dom0 ENOSYS"])
    #expect(script.ask(.dom0, .control, "audit|x|") == ["dom0 EINVAL"])
    #expect(script.ask(.dom0, .control, "audit|1|2|") == ["dom0 EINVAL"])
  }
}
