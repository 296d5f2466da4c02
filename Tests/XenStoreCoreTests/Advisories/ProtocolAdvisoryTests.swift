import Testing
import XenInterface
@testable import XenStoreCore
import XenStoreWire

/// Advisories about packets, paths and the order of things.
@Suite struct ProtocolAdvisoryTests {
  private let script = StoreScript()

  @Test("XSA-38, XSA-420: a negative length ends the connection once, and nothing spins", arguments: [4097, 0x8000_0000, .max] as [UInt32])
  func negativeLengths(length: UInt32) {
    let hostile = script.core.connect(domain: DomainID(rawValue: 5), privileged: false)
    var packet = XenStorePacket(.read, strings: ["/"]).encoded
    for index in 0..<4 { packet[12 + index] = UInt8(truncatingIfNeeded: length >> UInt32(8 * index)) }
    script.core.receive(packet + packet, from: hostile)
    #expect(script.core.fault(of: hostile) == .payloadTooLong(byteCount: length))
    #expect(script.core.takeReadyConnections().filter { $0 == hostile }.count == 1)
    script.core.receive(packet, from: hostile)
    #expect(!script.core.hasOutput(for: hostile))
    #expect(script.ask(.dom0, .directory, "/|") == ["dom0 = "])
  }

  @Test("XSA-72: a directory that does not fit a reply is E2BIG, and the stream goes on")
  func largeDirectories() {
    for number in 0..<2000 { _ = script.ask(.dom0, .makeDirectory, "/many/long-name-of-a-child-\(number)|") }
    #expect(script.ask(.dom0, .directory, "/many|") == ["dom0 E2BIG"])
    #expect(script.ask(.dom0, .read, "/many|") == ["dom0 = "])
    let part = script.ask(.dom0, .directoryPart, "/many|0|").first ?? ""
    #expect(part.utf8.count > 3000 && part.utf8.count <= 4096 + "dom0 = ".utf8.count)
  }

  @Test("XSA-72: a reply of 4096 bytes is sent whole, one of 4097 is E2BIG")
  func repliesAtTheLimit() {
    // 31 names of 132 bytes with their NULs are 4092: three more bytes fit a name of three.
    for number in 10..<41 { _ = script.ask(.dom0, .makeDirectory, "/full/\(number)" + String(repeating: "n", count: 129) + "|") }
    _ = script.ask(.dom0, .makeDirectory, "/full/abc|")
    #expect(script.ask(.dom0, .directory, "/full|").first?.utf8.count == 4096 + "dom0 = ".utf8.count)
    _ = script.ask(.dom0, .remove, "/full/abc|")
    _ = script.ask(.dom0, .makeDirectory, "/full/abcd|")
    #expect(script.ask(.dom0, .directory, "/full|") == ["dom0 E2BIG"])
  }

  @Test("XSA-72: a packet that is too long is never put on the wire, whoever made it")
  func oversizedPacketsAreNotEncoded() async {
    await #expect(processExitsWith: .failure) {
      _ = XenStorePacket(.directory, payload: [UInt8](repeating: 1, count: 4097)).encoded
    }
  }

  @Test(
    "XSA-323: the length that counts is that of the whole path, relative or not",
    arguments: [(2047, true), (2048, true), (2049, false), (3072, false), (3073, false)])
  func pathLengths(length: Int, isAllowed: Bool) {
    let name = String(repeating: "a", count: length)
    _ = script.ask(.dom0, .write, "/local/domain/5|")
    _ = script.ask(.dom0, .setPermissions, "/local/domain/5|b0|")
    let absolute = script.ask(.dom0, .read, "/local/domain/5/" + name + "|")
    #expect(absolute == [isAllowed ? "dom0 ENOENT" : "dom0 EINVAL"])
    #expect(script.ask(.dom5, .read, name + "|") == [isAllowed ? "dom5 ENOENT" : "dom5 EINVAL"])
  }

  @Test("XSA-324: a token that would make an event too long is refused when it is given")
  func longTokens() {
    #expect(script.ask(.dom0, .watch, "/|" + String(repeating: "t", count: 4000) + "|") == ["dom0 EINVAL"])
    _ = script.ask(.dom0, .watch, "/|" + String(repeating: "t", count: XenStoreProtocol.maximumTokenByteCount) + "|")
    let deepest = "/local/domain/65535/" + String(repeating: "a", count: 2048)
    let lines = script.ask(.dom0, .makeDirectory, deepest + "|")
    #expect(lines.count == 2 && lines.allSatisfy { $0.utf8.count < 4096 + 32 })
  }

  @Test("XSA-206: a transaction commits in a bounded number of tries while another client writes the same node in a loop")
  func writersDoNotStarveCommits() throws {
    let core = XenStoreCore()
    core.advance(to: 1)
    let hostile = core.connect(domain: DomainID(rawValue: 5), privileged: false)
    let toolstack = core.connect(domain: .control, privileged: true)
    core.handle(XenStorePacket(.write, payload: Array("/hot\u{0}0".utf8)), from: toolstack)
    core.handle(XenStorePacket(.setPermissions, strings: ["/hot", "b0"]), from: toolstack)
    while core.nextOutput(for: toolstack) != nil {}

    func disturb() {
      core.receive(XenStorePacket(.write, payload: Array("/hot\u{0}x".utf8)).encoded, from: hostile)
      while core.nextOutput(for: hostile) != nil {}
    }
    func ask(_ type: XenStoreMessageType, _ payload: String, in transaction: UInt32 = 0) throws -> [UInt8] {
      core.receive(XenStorePacket(type, transactionID: transaction, payload: Array(payload.utf8)).encoded, from: toolstack)
      disturb()
      return Array(try #require(core.nextOutput(for: toolstack)).dropFirst(XenStoreProtocol.headerByteCount))
    }
    var tries = 0
    var outcome: [UInt8] = []
    while outcome != Array("OK\0".utf8), tries < 10 {
      tries += 1
      let id = try #require(UInt32(String(decoding: try ask(.transactionStart, "\0").dropLast(), as: UTF8.self)))
      _ = try ask(.read, "/hot\0", in: id)
      _ = try ask(.write, "/hot\0mine", in: id)
      outcome = try ask(.transactionEnd, "T\0", in: id)
    }
    #expect(tries == 2)
  }

  @Test("XSA-418: the deepest tree that paths allow is watched, listed and removed without recursion")
  func deepTrees() {
    let path = "/local/domain/5" + String(repeating: "/a", count: 1024)
    #expect(script.ask(.dom0, .makeDirectory, path + "|") == ["dom0 OK"])
    _ = script.ask(.dom0, .watch, path + "|t|")
    #expect(script.core.checkConsistency().isEmpty)
    #expect(script.ask(.dom0, .remove, "/local|") == ["dom0 event \(path)|t|", "dom0 OK"])
  }

  @Test("XSA-425, XSA-484: RESET_WATCHES inside a transaction of one's own ends both, and the connection goes on")
  func resetInsideATransaction() {
    _ = script.ask(.dom5, .watch, "/a|t|")
    _ = script.ask(.dom5, .transactionStart, "|")
    #expect(script.ask(.dom5, .resetWatches, "", in: .opened) == ["dom5 OK"])
    #expect(script.ask(.dom5, .transactionEnd, "T|", in: .opened) == ["dom5 ENOENT"])
    #expect(script.ask(.dom5, .resetWatches, "") == ["dom5 OK"])
    #expect(script.core.usage[DomainID(rawValue: 5)] == nil)
  }

  @Test(
    "XSA-481: paths at the edge of being one are refused, each in the same way",
    arguments: ["", "/local/domain/", "//", "/a//b", "/a/", "/local/domain//x", "a//b", "/local/domain/5/", "/ä", "/a.b", "@", "@x/y"])
  func boundaryPaths(path: String) {
    for type in [XenStoreMessageType.read, .directory, .makeDirectory, .remove, .getPermissions] {
      #expect(script.ask(.dom0, type, path + "|") == ["dom0 EINVAL"], "\(type) \(path)")
    }
    #expect(script.ask(.dom0, .write, path + "|v") == ["dom0 EINVAL"])
  }
}
