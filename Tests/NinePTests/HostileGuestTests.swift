import Foundation
import Glibc
@testable import NinePEngine
import TestSupport
import Testing

/// A guest that wants out of the share, or to break what serves it.
@Suite struct HostileGuestTests {
  @Test func noWayOfWalkingLeavesTheShare() throws {
    let share = try TestShare()
    _ = share.begin()
    for names in [["..", "secret"], ["folder", "..", "..", "secret"], ["../secret"], ["/etc/passwd"], [""], ["."], ["folder/deep"], ["a\0b"]] {
      let answer = share.walk(0, 9, names)
      #expect(answer.error != nil || Int(answer.number(7, 2)) < names.count, "\(names)")
      #expect(share.session.fids[9] == nil, "\(names)")
    }
    // Above the root is the root.
    #expect(share.walk(0, 1, ["..", "..", "..", "file"]).number(7, 2) == 4)
    #expect(share.open(1).type == 13)
    #expect(share.read(1) == "hello")
  }

  @Test(arguments: ["out", "away", "near"]) func aSymbolicLinkIsItselfAndLeadsNowhere(link: String) throws {
    let share = try TestShare()
    _ = share.begin()
    #expect(share.walk(0, 1, [link]).number(7, 2) == 1)
    #expect(share.call(22) { $0.u32(1) }.type == 23)
    #expect(share.open(1).error == 95)
    #expect(share.open(1, O_RDWR | O_TRUNC).error == 95)
    #expect(share.walk(1, 2, ["passwd"]).error == 20)
    #expect(share.walk(0, 2, [link, "deep"]).number(7, 2) == 1)
    #expect(share.session.fids[2] == nil)
    // Nor by making, linking and changing.
    #expect(share.create(1, "new").error == 20)
    #expect(share.call(70) {
      $0.u32(0)
      $0.u32(1)
      $0.string("hard")
    }.error == 1)
    for valid in [UInt32(1), 8, 0x10] {
      #expect(share.call(26) {
        for value in [1, valid, 0o777, 0, 0] { $0.u32(value) }
        for _ in 0..<5 { $0.u64(0) }
      }.error != nil)
    }
    #expect(try String(contentsOfFile: share.secret, encoding: .utf8) == "secret")
  }

  @Test func aLinkThatTakesADirectorysPlaceIsNotFollowed() throws {
    let share = try TestShare()
    _ = share.begin()
    #expect(share.walk(0, 1, ["folder", "deep"]).type == 111)
    // What a second guest of the same share can do between two requests.
    try FileManager.default.moveItem(atPath: "\(share.root)/folder", toPath: "\(share.root)/gone")
    try FileManager.default.createSymbolicLink(atPath: "\(share.root)/folder", withDestinationPath: "..")
    #expect(share.walk(1, 2, ["leaf"]).error != nil, "the path is resolved anew, without links")
    #expect(share.named(72, 1, "made") {
      $0.u32(0o755)
      $0.u32(0)
    }.error != nil || FileManager.default.fileExists(atPath: "\(share.root)/gone/deep/made"))
    #expect(!FileManager.default.fileExists(atPath: "\(share.directory)/made"))
  }

  @Test func namesThatAreNoNamesAreRefusedEverywhere() throws {
    let share = try TestShare()
    _ = share.begin()
    for name in ["..", ".", "", "a/b", "../x", "/x", "a\0b", String(repeating: "x", count: 256)] {
      #expect(share.create(0, name).error == 22, "\(name)")
      #expect(share.named(72, 0, name) {
        $0.u32(0o755)
        $0.u32(0)
      }.error == 22)
      #expect(share.named(76, 0, name) { $0.u32(0) }.error == 22)
      #expect(share.named(16, 0, name) {
        $0.string("x")
        $0.u32(0)
      }.error == 22)
      #expect(share.call(74) {
        $0.u32(0)
        $0.string("file")
        $0.u32(0)
        $0.string(name)
      }.error == 22)
    }
    #expect(share.content("file") == "hello")
  }

  @Test func aPipeOrADeviceIsNotOpened() throws {
    let share = try TestShare()
    #expect(unsafe mkfifo("\(share.root)/pipe", 0o600) == 0)
    _ = share.begin()
    _ = share.walk(0, 1, ["pipe"])
    #expect(share.open(1).error == 95)
    #expect(share.named(18, 0, "node") { for _ in 0..<4 { $0.u32(0) } }.error == 95)
  }

  @Test func aGuestHoldsNoMoreFilesThanItMay() throws {
    let share = try TestShare(fidLimit: 3)
    _ = share.begin()
    #expect(share.walk(0, 1, ["file"]).type == 111)
    #expect(share.walk(0, 2, ["file"]).type == 111)
    #expect(share.walk(0, 3, ["file"]).error == 24)
    #expect(share.walk(0, 2, ["file"]).error == 17, "a number that is in use")
    #expect(share.call(120) { $0.u32(2) }.type == 121)
    #expect(share.call(120) { $0.u32(2) }.error == 9)
    #expect(share.walk(0, 3, ["file"]).type == 111)
    _ = share.begin()
    #expect(share.session.fids.count == 1, "a new session begins with nothing")
  }

  @Test func readsAndListsAreNoLongerThanTheMessagesThatWereAgreedOn() throws {
    let share = try TestShare()
    try Data(count: 300_000).write(to: URL(fileURLWithPath: "\(share.root)/large"))
    _ = share.begin()
    _ = share.walk(0, 1, ["large"])
    _ = share.open(1)
    #expect(share.read(1, count: .max)?.utf8.count == 65536 - 11)
    #expect(share.read(1, at: .max) == nil || share.read(1, at: .max) == "")
  }

  @Test func everyMessageThatEndsTooEarlyIsAnsweredWithAnError() throws {
    let share = try TestShare()
    for type in UInt8.min ... .max where ![8, 50, 108].contains(type) {
      _ = share.begin()
      let answer = share.call(type) { _ in }
      #expect(answer.isWhole, "\(type)")
      #expect(answer.type == 7, "\(type)")
    }
  }

  @Test func noMessageOfAnyBytesBreaksTheServerOrWhatLiesBeside() throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    let share = try TestShare()
    let types: [UInt8] = [8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 40, 50, 52, 54, 70, 72, 74, 76, 104, 108, 110, 116, 118, 120, 122]
    let names = ["file", "folder", "out", "away", "..", "deep", "../secret", "leaf", "x", ""]
    for round in 0..<20_000 {
      if round % 500 == 0 { _ = share.begin() }
      let answer = share.call(types.randomElement(using: &random)!) { writer in
        for _ in 0..<Int.random(in: 0...6, using: &random) {
          switch Int.random(in: 0..<5, using: &random) {
          case 0: writer.u32(UInt32.random(in: 0...3, using: &random))
          case 1: writer.string(names.randomElement(using: &random)!)
          case 2: writer.u64(UInt64.random(in: 0...100, using: &random))
          case 3: writer.u16(UInt16.random(in: 0...3, using: &random))
          default: writer.u8(UInt8.random(in: .min ... .max, using: &random))
          }
        }
      }
      try #require(answer.isWhole, "seed \(seed)")
    }
    #expect(try String(contentsOfFile: share.secret, encoding: .utf8) == "secret", "seed \(seed)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: share.directory).sorted() == ["secret", "share"], "seed \(seed)")
  }
}
