import Foundation
import Glibc
import LinuxSystem
import Testing
import XenInterface
import XenStoreWire

extension Integration {
  /// `pvio store`, as processes that talk to a daemon.
  @Suite struct StoreCommands {
    private func json<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
      try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    private struct Node: Codable, Equatable {
      var path: String
      var value: String?
      var base64: String?
      var permissions: [String]?
    }

    @Test func nodesAreReadWrittenListedAndRemoved() async throws {
      try await withTestBed { bed in
        try await bed.pvio("store", "write", "/demo/b", "two words")
        try await bed.pvio("store", "write", "/demo/a", "")
        #expect(try await bed.pvio("store", "read", "/demo/b") == "two words\n")
        #expect(try json(Node.self, await bed.pvio("store", "read", "--json", "/demo/b")) == Node(path: "/demo/b", value: "two words"))
        #expect(try await bed.pvio("store", "list", "/demo") == "a\nb\n")
        #expect(try json([String].self, await bed.pvio("store", "list", "--json", "/demo")) == ["a", "b"])
        #expect(try await bed.pvio("store", "ls", "/demo") == "a = \"\"\nb = \"two words\"\n")
        let values = try json([String: String].self, await bed.pvio("store", "ls", "--json", "/demo"))
        #expect(values == ["/demo/a": "", "/demo/b": "two words"])
        try await bed.pvio("store", "exists", "/demo/a")
        try await bed.pvio("store", "rm", "/demo")
        let missing = try await bed.run(Program.pvio, ["store", "exists", "/demo/a"])
        #expect(missing.ending == .exited(1) && missing.errors == "")
        let refused = try await bed.run(Program.pvio, ["store", "read", "/demo/a"])
        #expect(refused.ending == .exited(1) && refused.errors == "pvio: store: read /demo/a: ENOENT\n")
        try await bed.stopDaemon()
      }
    }

    @Test func theTreeShowsBinaryValuesAndPermissions() async throws {
      try await withTestBed { bed in
        try await writeSamples(bed)
        #expect(
          try await bed.pvio("store", "tree", "-p", "/demo") == """
            /demo/binary = "\\x00\\xff\\n"   (n0)
            /demo/text = "say \\"hi\\""   (n0,r7)
            /demo/text/below = ""   (n7)

            """)
        let nodes = try json([Node].self, await bed.pvio("store", "tree", "--json", "/demo"))
        #expect(nodes[0] == Node(path: "/demo/binary", base64: "AP8K", permissions: ["n0"]))
        #expect(nodes[1] == Node(path: "/demo/text", value: "say \"hi\"", permissions: ["n0", "r7"]))
        #expect(nodes.count == 3)
      }
    }

    /// Text, bytes, and permissions of several domains below `/demo`.
    private func writeSamples(_ bed: TestBed) async throws {
      try await bed.pvio("domain", "create", "--domid", "7")
      try await bed.pvio("store", "write", "/demo/text", "say \"hi\"")
      try await bed.pvio("store", "write", "/demo/text/below", "")
      try await bed.pvio("store", "chmod", "/demo/text", "n0", "r7")
      try await bed.pvio("store", "chmod", "/demo/text/below", "n7")
      let raw = try RawStoreClient("\(bed.runDirectory)/xenstored/socket")
      #expect(try raw.call(.write, XenStorePayload.join(["/demo/binary"]) + [0, 0xFF, 10]).type == .write)
    }

    @Test func aDumpIsRestoredByteForByte() async throws {
      try await withTestBed { bed in
        try await writeSamples(bed)
        let raw = try RawStoreClient("\(bed.runDirectory)/xenstored/socket")
        // More than one batch, and values that need every byte.
        for number in 0..<300 {
          let value = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number)
          #expect(try raw.call(.write, XenStorePayload.join(["/demo/many/\(number)"]) + value).type == .write)
        }
        let dump = try await bed.pvio("store", "dump", "/demo")
        #expect(dump.hasPrefix(#"{"dump":"pvio-store","nodes":305,"path":"/demo","version":1}"# + "\n"))
        let file = "\(bed.directory)/store.dump"
        try Data(dump.utf8).write(to: URL(fileURLWithPath: file))
        for options in [[], ["--transaction-size", "7"]] {
          try await bed.pvio("store", "rm", "/demo")
          #expect(try await bed.run(Program.pvio, ["store", "restore"] + options + [file]).succeeded)
          #expect(try await bed.pvio("store", "dump", "/demo") == dump)
        }
        // What is not in the dump stays, unless it is told to go.
        try await bed.pvio("store", "write", "/demo/later", "1")
        try await bed.pvio("store", "restore", file)
        try await bed.pvio("store", "exists", "/demo/later")
        try await bed.pvio("store", "restore", "--replace", file)
        #expect(try await bed.pvio("store", "dump", "/demo") == dump)
        // The whole store, whose top cannot be removed.
        let all = try await bed.pvio("store", "dump")
        try Data(all.utf8).write(to: URL(fileURLWithPath: file))
        try await bed.pvio("store", "write", "/later", "1")
        try await bed.pvio("store", "restore", "--replace", file)
        #expect(try await bed.pvio("store", "dump") == all)
      }
    }

    @Test func aDumpThatIsNotWholeIsRefusedBeforeAnythingIsWritten() async throws {
      try await withTestBed { bed in
        let header = #"{"dump":"pvio-store","nodes":1,"path":"/a","version":1}"#
        let node = #"{"path":"/a","permissions":["n0"],"value":"1"}"#
        let wrong = [
          ("", "line 1"),
          ("not json\n", "line 1"),
          (header.replacing(":1}", with: ":2}") + "\n" + node, "version 2"),
          (header + "\n", "0 nodes of 1"),
          (header + "\n" + node + "\n" + node, "2 nodes of 1"),
          (header + "\n" + node.replacing("/a", with: "/b"), "line 2: '/b'"),
          (header + "\n" + node.replacing("n0", with: "x0"), "line 2: expected permissions"),
          (header + "\n" + node.replacing(#","value":"1""#, with: ""), "line 2: expected either value or base64"),
        ]
        let file = "\(bed.directory)/store.dump"
        for (text, words) in wrong {
          try Data(text.utf8).write(to: URL(fileURLWithPath: file))
          let outcome = try await bed.run(Program.pvio, ["store", "restore", file])
          #expect(outcome.ending == .exited(1) && outcome.errorLines.count == 1 && outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(try await bed.run(Program.pvio, ["store", "exists", "/a"]).ending == .exited(1))
      }
    }

    @Test func aDomainSeesAndChangesOnlyWhatItMay() async throws {
      try await withTestBed { bed in
        try await writeSamples(bed)
        #expect(try await bed.pvio("store", "read", "--domain", "7", "/demo/text") == "say \"hi\"\n")
        try await bed.pvio("store", "write", "--domain", "7", "data/mine", "1")
        #expect(try await bed.storeValue("/local/domain/7/data/mine") == "1")
        let refused = try await bed.run(Program.pvio, ["store", "read", "--domain", "7", "/demo/binary"])
        #expect(refused.ending == .exited(1) && refused.errors == "pvio: store: read /demo/binary: EACCES\n")
        let absent = try await bed.run(Program.pvio, ["store", "list", "--domain", "9"])
        #expect(absent.ending == .exited(1) && absent.errors.contains("there is no domain 9"))
        // What is there and may not be read is shown as that.
        try await bed.pvio("store", "chmod", "/demo", "n0", "r7")
        #expect(try await bed.pvio("store", "tree", "--domain", "7", "/demo").hasPrefix("/demo/binary = ?\n"))
        let nodes = try json([Node].self, await bed.pvio("store", "tree", "--domain", "7", "--json", "/demo"))
        #expect(nodes[0] == Node(path: "/demo/binary", permissions: []))
        #expect(try json([String: String].self, await bed.pvio("store", "ls", "--domain", "7", "--json", "/demo"))["/demo/binary"] == nil)
        // A dump must not pass off a part as the whole.
        let dump = try await bed.run(Program.pvio, ["store", "dump", "--domain", "7", "/demo"])
        #expect(dump.ending == .exited(1) && dump.errors.contains("/demo/binary may not be read") && dump.output == "")
      }
    }

    private struct Quotas: Decodable {
      struct Usage: Decodable, Equatable {
        var domid: UInt16
        var quota: String
        var used: Int
        var limit: Int?
      }
      struct Refusal: Decodable, Equatable {
        var domid: UInt16
        var quota: String
        var limit: Int
        var value: Int
        var count: UInt64
      }
      var quotas: [Usage]
      var refusals: [Refusal]
      var limits: [String: Int]
    }

    @Test func quotasNameWhatWasRefusedToWhomAtWhatValue() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7")
        #expect(try await bed.pvio("store", "quotas").contains("nothing was refused"))
        #expect(try await bed.pvio("store", "control", "quota", "set", "nodes", "3") == "OK\n")
        try await bed.pvio("store", "write", "--domain", "7", "data/first", "")
        for _ in 0..<2 {
          let refused = try await bed.run(Program.pvio, ["store", "write", "--domain", "7", "data/second", ""])
          #expect(refused.errors == "pvio: store: write data/second: ENOSPC\n")
        }
        let report = try json(Quotas.self, await bed.pvio("store", "quotas", "--json"))
        #expect(report.refusals == [Quotas.Refusal(domid: 7, quota: "nodes", limit: 3, value: 4, count: 2)])
        #expect(report.quotas.contains(Quotas.Usage(domid: 7, quota: "nodes", used: 3, limit: 3)))
        #expect(report.quotas.contains { $0.domid == 0 && $0.quota == "nodes" && $0.limit == nil && $0.used > 4 })
        #expect(report.limits["nodes"] == 3 && report.limits["watches"] == 128)
        // One that has no home, and holds something all the same.
        try await bed.pvio("store", "write", "/left", "")
        try await bed.pvio("store", "chmod", "/left", "n8")
        let all = try json(Quotas.self, await bed.pvio("store", "quotas", "--json"))
        #expect(Set(all.quotas.map(\.domid)) == [0, 7, 8])
        #expect(all.quotas.contains(Quotas.Usage(domid: 8, quota: "nodes", used: 1, limit: 3)))
        let text = try await bed.pvio("store", "quotas", "7").split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(text.first == "DOMID QUOTA USED LIMIT" && text.contains("7 nodes 3 3"))
        #expect(text.suffix(2) == ["REFUSED QUOTA LIMIT VALUE TIMES", "domain 7 nodes 3 4 2"])
        let absent = try await bed.run(Program.pvio, ["store", "quotas", "9"])
        #expect(absent.ending == .exited(1) && absent.errors.contains("there is no domain 9"))
      }
    }

    private struct Change: Decodable {
      var sequence: UInt64
      var unix_microseconds: UInt64
      var domid: UInt16
      var who: String
      var operation: String
      var path: String
    }

    @Test func theAuditSaysWhoChangedWhatAndWhen() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7")
        let last = try json([Change].self, await bed.pvio("store", "audit", "--json")).last?.sequence ?? 0
        let before = UInt64(Date().timeIntervalSince1970 * 1_000_000)
        let writer = try bed.start(Program.pvio, ["store", "write", "--domain", "7", "data/x", "secret"])
        #expect(try await writer.finish() == .exited(0))
        try await bed.pvio("store", "rm", "/local/domain/7/data/x")
        let text = try await bed.pvio("store", "audit", "--after", "\(last)", "--json")
        let changes = try json([Change].self, text)
        #expect(changes.map(\.operation) == ["write", "rm"])
        #expect(changes.map(\.domid) == [7, 0])
        #expect(changes.allSatisfy { $0.path == "/local/domain/7/data/x" && $0.unix_microseconds >= before })
        #expect(changes[0].who == "pid:\(writer.processID),uid:\(getuid())")
        #expect(changes[0].sequence == last + 1)
        #expect(!text.contains("secret"))
        let lines = try await bed.pvio("store", "audit", "--after", "\(last)").split(separator: "\n")
        #expect(lines.count == 3 && lines[1].contains("Z  7      pid:\(writer.processID)"))
        // More than one reply of the daemon.
        let raw = try RawStoreClient("\(bed.runDirectory)/xenstored/socket")
        for number in 0..<200 { _ = try raw.call(.write, XenStorePayload.join(["/many/\(number)"])) }
        let many = try json([Change].self, await bed.pvio("store", "audit", "--after", "\(last + 2)", "--json"))
        #expect(many.map(\.path).filter { $0.hasPrefix("/many/") }.count == 200)
        let follower = try bed.start(Program.pvio, ["store", "audit", "--follow", "--json", "--after", "\(many.last?.sequence ?? 0)"])
        // It may begin to follow before or after this change.
        try await bed.pvio("store", "write", "/followed", "1")
        try await bed.waitForLine("/followed", of: follower)
        #expect(try json(Change.self, follower.output).operation == "write")
      }
    }

    @Test func aWatchWaitsForTheNextDaemonAndSaysSo() async throws {
      try await withTestBed { bed in
        let watcher = try bed.start(Program.pvio, ["store", "watch", "-n", "4", "/demo"])
        let json = try bed.start(Program.pvio, ["store", "watch", "--json", "--count", "1", "/demo"])
        let fickle = try bed.start(Program.pvio, ["store", "watch", "--no-reconnect", "/demo"])
        for program in [watcher, json, fickle] { try await bed.waitForLine("/demo", of: program) }
        #expect(try await json.finish() == .exited(0))
        #expect(try self.json([String: String].self, json.output)["path"] == "/demo")
        try await bed.pvio("store", "write", "/demo/x", "1")
        try await bed.waitForLine("/demo/x\n", of: watcher)

        bed.daemon?.kill()
        #expect(try await fickle.finish() == .exited(1))
        #expect(fickle.errors == "pvio: store: the watch on /demo has ended\n")
        try await eventually("the loss is told") { watcher.errors == "pvio: the daemon went away; waiting for the next one\n" }
        try await bed.startDaemon()
        // Look again: the store in memory is a new one.
        try await bed.waitForLine("/demo\n/demo/x\n/demo\n", of: watcher)
        #expect(try await bed.run(Program.pvio, ["store", "exists", "/demo/x"]).ending == .exited(1))
        try await bed.pvio("store", "write", "/demo/y", "1")
        #expect(try await watcher.finish() == .exited(0))
        #expect(watcher.output == "/demo\n/demo/x\n/demo\n/demo/y\n")
      }
    }

    @Test(arguments: [
      (["watch", "-n", "0", "/a"], "--count"),
      (["restore", "--transaction-size", "0"], "--transaction-size"),
      (["dump", "relative"], "absolute path"),
      (["chmod", "/a", "q7"], "'q7'"),
      (["read"], "path"),
      (["quotas", "many"], "many"),
    ])
    func whatIsAskedForWronglyIsAUsageError(arguments: [String], words: String) async throws {
      try await withTestBed { bed in
        let outcome = try await bed.run(Program.pvio, ["store"] + arguments)
        #expect(outcome.ending == .exited(2), "\(outcome.errors)")
        #expect(outcome.errorLines.count == 1 && outcome.errors.hasPrefix("pvio: ") && outcome.errors.contains(words), "\(outcome.errors)")
      }
    }
  }
}
