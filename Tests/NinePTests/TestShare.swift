import Foundation
@testable import NinePEngine

/// A directory with a share in it and something beside it that must not be reached.
final class TestShare {
  let directory = "/tmp/pvio-9p-\(UUID().uuidString.prefix(8))"
  let session: NinePSession

  var root: String { "\(directory)/share" }
  var secret: String { "\(directory)/secret" }

  init(isReadOnly: Bool = false, fidLimit: Int = 1024) throws {
    let manager = FileManager.default
    try manager.createDirectory(atPath: "\(directory)/share/folder/deep", withIntermediateDirectories: true)
    try Data("hello".utf8).write(to: URL(fileURLWithPath: "\(directory)/share/file"))
    try Data("below".utf8).write(to: URL(fileURLWithPath: "\(directory)/share/folder/deep/leaf"))
    try Data("secret".utf8).write(to: URL(fileURLWithPath: "\(directory)/secret"))
    try manager.createSymbolicLink(atPath: "\(directory)/share/out", withDestinationPath: "../secret")
    try manager.createSymbolicLink(atPath: "\(directory)/share/away", withDestinationPath: "/etc")
    try manager.createSymbolicLink(atPath: "\(directory)/share/near", withDestinationPath: "folder")
    session = NinePSession(try NinePShare(path: "\(directory)/share", isReadOnly: isReadOnly, fidLimit: fidLimit))
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func content(_ name: String) -> String? { (try? Data(contentsOf: URL(fileURLWithPath: "\(root)/\(name)"))).map { String(decoding: $0, as: UTF8.self) } }

  /// Sends one request and takes the answer apart as far as its header.
  func call(_ type: UInt8, tag: UInt16 = 1, _ fill: (inout NinePWriter) -> Void) -> Answer {
    var writer = NinePWriter(bytes: [0, 0, 0, 0, type, UInt8(tag & 0xFF), UInt8(tag >> 8)])
    fill(&writer)
    writer.setU32(UInt32(writer.bytes.count), at: 0)
    return send(writer.bytes)
  }

  func send(_ message: [UInt8]) -> Answer {
    var answer: [UInt8] = []
    session.answer(message, byteCount: message.count, into: &answer)
    return Answer(bytes: answer)
  }

  struct Answer {
    let bytes: [UInt8]
    var type: UInt8 { bytes[4] }
    /// Of an `Rlerror`.
    var error: UInt32? { type == 7 ? number(7, 4) : nil }
    func number(_ place: Int, _ count: Int) -> UInt32 { (0..<count).reversed().reduce(0) { $0 << 8 | UInt32(bytes[place + $1]) } }
    var isWhole: Bool { Int(number(0, 4)) == bytes.count }
  }

  // MARK: What clients do

  func begin() -> Answer {
    _ = call(100) {
      $0.u32(65536)
      $0.string("9P2000.L")
    }
    return call(104) {
      $0.u32(0)
      $0.u32(.max)
      $0.string("user")
      $0.string("")
      $0.u32(.max)
    }
  }

  func walk(_ from: UInt32, _ to: UInt32, _ names: [String]) -> Answer {
    call(110) {
      $0.u32(from)
      $0.u32(to)
      $0.u16(UInt16(names.count))
      for name in names { $0.string(name) }
    }
  }

  func open(_ fid: UInt32, _ flags: Int32 = 0) -> Answer {
    call(12) {
      $0.u32(fid)
      $0.u32(UInt32(bitPattern: flags))
    }
  }

  func create(_ fid: UInt32, _ name: String, _ flags: Int32 = 0o102) -> Answer {
    call(14) {
      $0.u32(fid)
      $0.string(name)
      $0.u32(UInt32(bitPattern: flags))
      $0.u32(0o4644)
      $0.u32(0)
    }
  }

  func write(_ fid: UInt32, _ text: String, at offset: UInt64 = 0) -> Answer {
    call(118) {
      $0.u32(fid)
      $0.u64(offset)
      $0.u32(UInt32(text.utf8.count))
      $0.bytes += text.utf8
    }
  }

  func read(_ fid: UInt32, at offset: UInt64 = 0, count: UInt32 = 4096) -> String? {
    let answer = call(116) {
      $0.u32(fid)
      $0.u64(offset)
      $0.u32(count)
    }
    return answer.error == nil ? String(decoding: answer.bytes[11...], as: UTF8.self) : nil
  }

  func named(_ type: UInt8, _ fid: UInt32, _ name: String, _ more: (inout NinePWriter) -> Void = { _ in }) -> Answer {
    call(type) {
      $0.u32(fid)
      $0.string(name)
      more(&$0)
    }
  }

  /// Names in an open directory.
  func list(_ fid: UInt32, room: UInt32 = 60000) -> [String]? {
    var names: [String] = []
    var offset: UInt64 = 0
    while true {
      let answer = call(40) {
        $0.u32(fid)
        $0.u64(offset)
        $0.u32(room)
      }
      guard answer.error == nil else { return nil }
      var reader = NinePReader(answer.bytes, from: 11, to: answer.bytes.count)
      if answer.bytes.count == 11 { return names }
      while reader.position < answer.bytes.count {
        for _ in 0..<13 { _ = try? reader.u8() }
        offset = (try? reader.u64()) ?? 0
        _ = try? reader.u8()
        names.append((try? reader.string()) ?? "?")
      }
    }
  }
}
