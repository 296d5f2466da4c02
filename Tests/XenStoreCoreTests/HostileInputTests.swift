import TestSupport
import Testing
import XenInterface
@testable import XenStoreCore
import XenStoreWire

@Suite struct HostileInputTests {
  @Test(arguments: [4097, 0x8000_0000, .max] as [UInt32])
  func aPayloadBeyondTheLimitEndsTheConnectionAndNoOther(byteCount: UInt32) {
    let script = StoreScript()
    var bytes = XenStorePacket(.read, strings: ["/"]).encoded
    for index in 12..<16 { bytes[index] = UInt8(truncatingIfNeeded: byteCount >> UInt32(8 * (index - 12))) }
    script.core.receive(bytes, from: script.connections[.dom5]!)
    #expect(script.core.fault(of: script.connections[.dom5]!) == .payloadTooLong(byteCount: byteCount))
    #expect(script.core.takeReadyConnections() == [script.connections[.dom5]!])
    #expect(script.ask(.dom0, .read, "/|") == ["dom0 = "])
  }

  @Test func aPayloadOfExactlyTheLimitIsTaken() {
    let script = StoreScript()
    let value = String(repeating: "v", count: 4096 - 3)
    #expect(script.ask(.dom0, .write, "/a|" + value) == ["dom0 OK"])
    #expect(script.ask(.dom0, .read, "/a|") == ["dom0 = " + value])
  }

  @Test(arguments: [("/", 2048), ("/local/domain/5/", 2048), ("/local/domain/65535/", 2048)])
  func aPathMayHave2048BytesBehindTheDomainsPrefix(prefix: String, limit: Int) {
    let script = StoreScript()
    let counted = prefix == "/" ? 1 : 0
    let longest = prefix + String(repeating: "a", count: limit - counted)
    #expect(script.ask(.dom0, .write, longest + "|1") == ["dom0 OK"])
    #expect(script.ask(.dom0, .read, longest + "|") == ["dom0 = 1"])
    #expect(script.ask(.dom0, .write, longest + "a|1") == ["dom0 EINVAL"])
  }

  @Test func aRelativePathMayHave2048Bytes() {
    let script = StoreScript()
    #expect(script.ask(.dom0, .makeDirectory, String(repeating: "a", count: 2048) + "|") == ["dom0 OK"])
    #expect(script.ask(.dom0, .makeDirectory, String(repeating: "a", count: 2049) + "|") == ["dom0 EINVAL"])
  }

  @Test func theDeepestPathIsWrittenWatchedAndRemoved() {
    let script = StoreScript()
    let deepest = "/local/domain/5" + String(repeating: "/a", count: 1024)
    #expect(script.ask(.dom0, .write, deepest + "|1") == ["dom0 OK"])
    #expect(script.ask(.dom0, .watch, deepest + "|t|").count == 2)
    #expect(script.ask(.dom0, .transactionStart, "|") == ["dom0 = <transaction>"])
    #expect(script.ask(.dom0, .remove, "/local|", in: .opened) == ["dom0 OK"])
    #expect(script.ask(.dom0, .transactionEnd, "F|", in: .opened) == ["dom0 OK"])
    #expect(script.ask(.dom0, .remove, "/local|") == ["dom0 event \(deepest)|t|", "dom0 OK"])
    #expect(script.ask(.dom0, .directory, "/|") == ["dom0 = "])
  }

  @Test func aPathOf1500LevelsIsRefused() {
    #expect(StoreScript().ask(.dom0, .makeDirectory, String(repeating: "/a", count: 1500) + "|") == ["dom0 EINVAL"])
  }

  @Test func theDeepestTreeThatPathsAllowIsLetGoOnASmallStack() throws {
    let path = try XenStorePath("/local/domain/65535" + String(repeating: "/a", count: 1024))
    var tree = XenStoreTree(generation: 1)
    tree.create(value: [], permissions: [], at: path, generation: 2)
    #expect(tree.node(at: path) != nil)
    // Test threads have a fraction of the main thread's stack.
    tree.remove(at: try XenStorePath("/local"), generation: 3)
    #expect(tree.node(at: try XenStorePath("/local")) == nil)
  }

  @Test func aTokenThatCouldMakeAnEventTooLongIsRefused() {
    let script = StoreScript()
    #expect(script.ask(.dom5, .watch, "/|" + String(repeating: "t", count: 4000) + "|") == ["dom5 EINVAL"])
    let longest = String(repeating: "t", count: XenStoreProtocol.maximumTokenByteCount)
    #expect(script.ask(.dom0, .watch, "/|\(longest)|").first == "dom0 OK")
    let path = "/local/domain/65535/" + String(repeating: "a", count: 2048)
    #expect(script.ask(.dom0, .makeDirectory, path + "|") == ["dom0 event \(path)|\(longest)|", "dom0 OK"])
  }

  @Test func numbersThatDoNotFitAreRefused() {
    let script = StoreScript()
    for text in ["65536", "32752", "99999999999999999999", "-1", "", "1x", " 1"] {
      #expect(script.ask(.dom0, .release, text + "|") == ["dom0 EINVAL"], "\(text)")
      #expect(script.ask(.dom0, .introduce, text + "|1|1|") == ["dom0 EINVAL"], "\(text)")
      #expect(script.ask(.dom0, .setTarget, "1|\(text)|") == ["dom0 EINVAL"], "\(text)")
    }
    #expect(script.ask(.dom0, .introduce, "7|1|0|") == ["dom0 EINVAL"])
  }

  @Test func watchesThatComeAndGoLeaveNothing() {
    let script = StoreScript()
    for round in 0..<2000 {
      _ = script.ask(.dom5, .watch, "/a/b/\(round)|t|")
      _ = script.ask(.dom5, round % 2 == 0 ? .resetWatches : .unwatch, round % 2 == 0 ? "" : "/a/b/\(round)|t|")
    }
    #expect(script.core.watches.watchedPaths(below: .root).isEmpty)
    #expect(script.core.usage.keys.isEmpty)
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func randomBytesNeverBringItDown(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let script = StoreScript()
    for _ in 0..<20_000 {
      let client = StoreScript.Client.allCases.randomElement(using: &random)!
      let alphabet = Array("/|a@n05TF.".utf8)
      let payload = (0..<Int.random(in: 0...24, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
      let type = UInt32.random(in: 0...28, using: &random)
      // Releases would take the scripts' own domains away.
      if type == XenStoreMessageType.release.rawValue { continue }
      let replies = script.ask(
        client, rawType: type, StoreScript.bytes(String(decoding: payload, as: UTF8.self)), in: Bool.random(using: &random) ? .opened : .none
      ).filter { !$0.contains(" event ") }
      #expect(replies.count == 1, "seed \(seed): type \(type), payload \(payload)")
    }
    #expect(script.ask(.dom0, .control, "check|") == ["dom0 OK"], "seed \(seed)")
  }
}
