import Foundation
import Glibc
@testable import NinePEngine
import Testing

@Suite struct NinePEngineTests {
  @Test func aSessionAgreesOnTheDialectAndTheLength() throws {
    let share = try TestShare()
    let answer = share.call(100) {
      $0.u32(1 << 30)
      $0.string("9P2000.L")
    }
    #expect(answer.type == 101)
    #expect(answer.number(7, 4) == UInt32(NinePSession.maximumMessageByteCount))
    #expect(share.call(100) {
      $0.u32(8192)
      $0.string("9P2000.u")
    }.bytes.suffix(7) == Array("unknown".utf8)[...])
    #expect(share.call(100) {
      $0.u32(10)
      $0.string("9P2000.L")
    }.error == 22)
  }

  @Test func aFileIsReadAndItsAttributesAreThere() throws {
    let share = try TestShare()
    #expect(share.begin().type == 105)
    #expect(share.walk(0, 1, ["folder", "deep", "leaf"]).number(7, 2) == 3)
    #expect(share.open(1).type == 13)
    #expect(share.read(1) == "below")
    #expect(share.read(1, at: 3) == "ow")
    #expect(share.read(1, at: 100) == "")
    let attributes = share.call(24) {
      $0.u32(1)
      $0.u64(0x7FF)
    }
    #expect(attributes.number(7 + 8 + 13, 4) & UInt32(S_IFMT) == UInt32(S_IFREG))
    #expect(attributes.bytes.count == 7 + 153)
  }

  @Test func filesAreMadeWrittenRenamedLinkedAndRemoved() throws {
    let share = try TestShare()
    _ = share.begin()
    #expect(share.walk(0, 1, []).type == 111)
    #expect(share.create(1, "new").type == 15)
    #expect(share.write(1, "written").number(7, 4) == 7)
    #expect(share.write(1, "!", at: 7).type == 119)
    #expect(share.read(1) == "written!")
    #expect(share.content("new") == "written!")
    let mode = try FileManager.default.attributesOfItem(atPath: "\(share.root)/new")[.posixPermissions] as? Int
    #expect((mode ?? 0) & 0o7000 == 0, "a guest makes no programs with their owner's rights")
    #expect(share.walk(0, 2, ["folder"]).type == 111)
    #expect(share.call(74) {
      $0.u32(0)
      $0.string("new")
      $0.u32(2)
      $0.string("moved")
    }.type == 75)
    #expect(share.content("folder/moved") == "written!")
    #expect(share.named(72, 0, "made") {
      $0.u32(0o755)
      $0.u32(0)
    }.type == 73)
    #expect(share.walk(0, 3, ["file"]).type == 111)
    #expect(share.call(70) {
      $0.u32(0)
      $0.u32(3)
      $0.string("other name")
    }.type == 71)
    #expect(share.content("other name") == "hello")
    #expect(share.named(76, 0, "made") { $0.u32(0x200) }.type == 77)
    #expect(share.named(76, 0, "other name") { $0.u32(0) }.type == 77)
    #expect(share.content("other name") == nil)
    #expect(share.call(122) { $0.u32(3) }.type == 123)
    #expect(share.content("file") == nil)
  }

  @Test func aDirectoryIsListedWholeInPiecesOfAnySize() throws {
    let share = try TestShare()
    for number in 0..<500 { try Data().write(to: URL(fileURLWithPath: "\(share.root)/folder/entry-\(number)")) }
    _ = share.begin()
    for (fid, room) in [(UInt32(1), UInt32(60000)), (2, 300), (3, 100)] {
      #expect(share.walk(0, fid, ["folder"]).type == 111)
      #expect(share.open(fid).type == 13)
      let names = try #require(share.list(fid, room: room))
      #expect(Set(names) == Set((0..<500).map { "entry-\($0)" } + [".", "..", "deep"]))
      #expect(names.count == 503)
    }
  }

  @Test func attributesChangeExceptOwnersAndOtherPeoplesRights() throws {
    let share = try TestShare()
    _ = share.begin()
    _ = share.walk(0, 1, ["file"])
    func set(_ valid: UInt32, mode: UInt32 = 0, user: UInt32 = 0, byteCount: UInt64 = 0, seconds: UInt64 = 0) -> TestShare.Answer {
      share.call(26) {
        for value in [1, valid, mode, user, 0] { $0.u32(value) }
        $0.u64(byteCount)
        for _ in 0..<2 {
          $0.u64(seconds)
          $0.u64(5)
        }
      }
    }
    #expect(set(1, mode: 0o4600).type == 27)
    let mode = try FileManager.default.attributesOfItem(atPath: "\(share.root)/file")[.posixPermissions] as? Int
    #expect(mode == 0o600)
    #expect(set(8, byteCount: 2).type == 27)
    #expect(share.content("file") == "he")
    #expect(set(0x20 | 0x100, seconds: 1_000_000_000).type == 27)
    let date = try FileManager.default.attributesOfItem(atPath: "\(share.root)/file")[.modificationDate] as? Date
    #expect(date?.timeIntervalSince1970.rounded() == 1_000_000_000)
    #expect(set(2, user: 12345).error == 1)
    #expect(set(2, user: getuid()).type == 27)
  }

  @Test func aReadOnlyShareRefusesEverythingThatChangesIt() throws {
    let share = try TestShare(isReadOnly: true)
    _ = share.begin()
    _ = share.walk(0, 1, ["file"])
    #expect(share.open(1, O_RDWR).error == 30)
    #expect(share.open(1, O_TRUNC).error == 30)
    #expect(share.open(1).type == 13)
    #expect(share.read(1) == "hello")
    #expect(share.write(1, "x").error == 30)
    #expect(share.create(0, "new").error == 30)
    #expect(share.named(72, 0, "made") {
      $0.u32(0o755)
      $0.u32(0)
    }.error == 30)
    #expect(share.named(76, 0, "file") { $0.u32(0) }.error == 30)
    #expect(share.named(16, 0, "link") {
      $0.string("x")
      $0.u32(0)
    }.error == 30)
    #expect(share.call(122) { $0.u32(1) }.error == 30)
    #expect(share.content("file") == "hello")
  }
}
