/// The first twelve bytes of each message (vhost-user.rst, "Header"): request, flags, size of what follows.
struct MessageHeader: Equatable {
  static let byteCount = 12
  /// Largest payload that any message has: a configuration space of 256 bytes behind twelve, with room.
  static let payloadLimit = 4096

  var request: UInt32
  var flags: UInt32
  var payloadByteCount: UInt32

  private enum Flags { static let versionMask: UInt32 = 3, version: UInt32 = 1, reply: UInt32 = 4, needReply: UInt32 = 8 }

  init(request: UInt32, flags: UInt32, payloadByteCount: UInt32) {
    self.request = request
    self.flags = flags
    self.payloadByteCount = payloadByteCount
  }

  init(_ bytes: [UInt8]) {
    request = Payload.word32(bytes, at: 0)
    flags = Payload.word32(bytes, at: 4)
    payloadByteCount = Payload.word32(bytes, at: 8)
  }

  /// The header of an answer.
  static func reply(to request: UInt32, payloadByteCount: Int) -> MessageHeader {
    MessageHeader(request: request, flags: Flags.version | Flags.reply, payloadByteCount: UInt32(payloadByteCount))
  }

  /// The header of a message of ours that wants no answer.
  static func message(_ request: UInt32, payloadByteCount: Int) -> MessageHeader {
    MessageHeader(request: request, flags: Flags.version, payloadByteCount: UInt32(payloadByteCount))
  }

  var hasKnownVersion: Bool { flags & Flags.versionMask == Flags.version }
  var isReply: Bool { flags & Flags.reply != 0 }
  var needsReply: Bool { flags & Flags.needReply != 0 }

  var bytes: [UInt8] { Payload.bytes(request) + Payload.bytes(flags) + Payload.bytes(payloadByteCount) }
}

/// Little-endian words in payloads. Lengths are checked by ``MessageRule`` before anything is read.
enum Payload {
  static func word16(_ bytes: [UInt8], at offset: Int) -> UInt16 { UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8 }
  static func word32(_ bytes: [UInt8], at offset: Int) -> UInt32 { UInt32(word16(bytes, at: offset)) | UInt32(word16(bytes, at: offset + 2)) << 16 }
  static func word64(_ bytes: [UInt8], at offset: Int) -> UInt64 { UInt64(word32(bytes, at: offset)) | UInt64(word32(bytes, at: offset + 4)) << 32 }

  static func bytes<Word: FixedWidthInteger>(_ word: Word) -> [UInt8] {
    (0..<Word.bitWidth / 8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
  }
}
