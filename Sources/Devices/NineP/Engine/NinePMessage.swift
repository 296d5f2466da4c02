/// Types of 9P2000.L messages (Linux, include/net/9p/9p.h, `enum p9_msg_t`): those of requests; an answer is one more.
enum NinePRequestType: UInt8 {
  case statfs = 8
  case lopen = 12
  case lcreate = 14
  case symlink = 16
  case mknod = 18
  case rename = 20
  case readlink = 22
  case getattr = 24
  case setattr = 26
  case xattrwalk = 30
  case xattrcreate = 32
  case readdir = 40
  case fsync = 50
  case lock = 52
  case getlock = 54
  case link = 70
  case mkdir = 72
  case renameat = 74
  case unlinkat = 76
  case version = 100
  case auth = 102
  case attach = 104
  case flush = 108
  case walk = 110
  case read = 116
  case write = 118
  case clunk = 120
  case remove = 122

  /// `Rlerror`.
  static let error: UInt8 = 7
  var answer: UInt8 { rawValue + 1 }
}

/// Takes a message apart: nothing is read beyond its end.
struct NinePReader {
  private let bytes: [UInt8]
  private(set) var position: Int
  private let end: Int

  init(_ bytes: [UInt8], from start: Int, to end: Int) {
    precondition(start <= end && end <= bytes.count, "a message outside its buffer")
    self.bytes = bytes
    position = start
    self.end = end
  }

  private mutating func number(_ byteCount: Int) throws(NinePFailure) -> UInt64 {
    guard end - position >= byteCount else { throw .malformed }
    defer { position += byteCount }
    return (0..<byteCount).reversed().reduce(0) { $0 << 8 | UInt64(bytes[position + $1]) }
  }

  mutating func u8() throws(NinePFailure) -> UInt8 { UInt8(truncatingIfNeeded: try number(1)) }
  mutating func u16() throws(NinePFailure) -> UInt16 { UInt16(truncatingIfNeeded: try number(2)) }
  mutating func u32() throws(NinePFailure) -> UInt32 { UInt32(truncatingIfNeeded: try number(4)) }
  mutating func u64() throws(NinePFailure) -> UInt64 { try number(8) }

  /// A string; a zero byte in it would end a path early.
  mutating func string() throws(NinePFailure) -> String {
    let count = Int(try u16())
    guard end - position >= count else { throw .malformed }
    defer { position += count }
    guard !bytes[position..<position + count].contains(0), let text = String(validating: bytes[position..<position + count], as: UTF8.self) else {
      throw .invalidName
    }
    return text
  }

  /// The name of one entry: no way to anywhere else.
  mutating func name() throws(NinePFailure) -> String {
    let name = try string()
    guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(UInt8(ascii: "/")), name.utf8.count <= 255 else { throw .invalidName }
    return name
  }

  /// Where `count` bytes of data are.
  mutating func data(_ count: Int) throws(NinePFailure) -> Range<Int> {
    guard count >= 0, end - position >= count else { throw .malformed }
    defer { position += count }
    return position..<position + count
  }
}

/// Puts an answer together.
struct NinePWriter {
  var bytes: [UInt8]

  private mutating func number(_ value: UInt64, _ byteCount: Int) {
    for index in 0..<byteCount { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))) }
  }

  mutating func u8(_ value: UInt8) { bytes.append(value) }
  mutating func u16(_ value: UInt16) { number(UInt64(value), 2) }
  mutating func u32(_ value: UInt32) { number(UInt64(value), 4) }
  mutating func u64(_ value: UInt64) { number(value, 8) }

  mutating func string(_ text: String) {
    let utf8 = text.utf8.prefix(Int(UInt16.max))
    u16(UInt16(utf8.count))
    bytes.append(contentsOf: utf8)
  }

  /// Puts a number that was not known before at `position`.
  mutating func setU32(_ value: UInt32, at position: Int) {
    for index in 0..<4 { bytes[position + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(index))) }
  }
}
