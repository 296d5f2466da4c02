import Testing
import XenInterface
import XenStoreWire

@Suite struct PathTests {
  @Test(arguments: ["/", "/a", "/a/b", "/local/domain/0/device/vbd/51712", "/A-z_0@9", "/@x"])
  func aWellFormedPathIsKeptAsItIs(text: String) throws {
    let path = try XenStorePath(text)
    #expect(path.text == text)
    #expect(path.names.map(\.text).joined(separator: "/") == text.dropFirst())
    #expect(path.depth == Array(path.names).count)
    var names: [XenStoreName] = []
    path.forEachName { names.append($0); return true }
    #expect(names == Array(path.names))
  }

  @Test(arguments: ["", "a", "//", "/a/", "/a//b", "/a.b", "/a b", "/a\0", "/ä", "@releaseDomain"])
  func anythingElseIsNone(text: String) {
    #expect(throws: XenStoreError.invalidArgument) { try XenStorePath(text) }
  }

  @Test func onlyLettersDigitsAndFourSignsMakeAName() {
    for byte in UInt8.min...UInt8.max where byte != UInt8(ascii: "/") {
      let isAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_@".utf8.contains(byte)
      let path = try? XenStorePath([UInt8(ascii: "/"), byte][...], relativeTo: .control)
      #expect((path != nil) == isAllowed, "byte \(byte)")
    }
  }

  @Test func parentAndLastNameTakeAPathApart() throws {
    let path = try XenStorePath("/a/b")
    #expect(path.parent == (try XenStorePath("/a")))
    #expect(path.parent?.parent == .root)
    #expect(XenStorePath.root.parent == nil)
    #expect(path.lastName?.text == "b")
    #expect(XenStorePath.root.lastName == nil)
    #expect(try XenStorePath.root.appending("a").appending("b") == path)
    #expect(throws: XenStoreError.invalidArgument) { try path.appending("c/d") }
    #expect(throws: XenStoreError.invalidArgument) { try path.appending("") }
  }

  @Test func aPathContainsItselfAndWhatIsBelow() throws {
    let path = try XenStorePath("/a/b")
    #expect(path.contains(path))
    #expect(path.contains(try XenStorePath("/a/b/c")))
    #expect(!path.contains(try XenStorePath("/a/bc")))
    #expect(!path.contains(try XenStorePath("/a")))
    #expect(XenStorePath.root.contains(path))
    #expect(path.relative(to: try XenStorePath("/a")).map(Array.init) == Array("b".utf8))
    #expect(path.relative(to: .root).map(Array.init) == Array("a/b".utf8))
    #expect(path.relative(to: path) == nil)
    #expect(path.relative(to: try XenStorePath("/x")) == nil)
  }

  @Test func aPathsPrefixesAreThoseOfItsNames() throws {
    let path = try XenStorePath("/a/b-c/a")
    #expect((1...3).map { path.prefix(nameCount: $0).text } == ["/a", "/a/b-c", "/a/b-c/a"])
  }

  @Test func aRelativePathIsBelowItsDomain() throws {
    let five = DomainID(rawValue: 5)
    #expect(try XenStorePath(Array("a/b".utf8)[...], relativeTo: five).text == "/local/domain/5/a/b")
    #expect(try XenStorePath(Array("/a".utf8)[...], relativeTo: five).text == "/a")
    #expect(throws: XenStoreError.invalidArgument) { try XenStorePath([][...], relativeTo: five) }
  }
}
