// Numbers of the NBD protocol, with the names of its specification (NetworkBlockDevice/nbd, doc/proto.md). All integers
// on the wire are big-endian.

enum NBDMagic {
  /// `NBDMAGIC`, "NBDMAGIC".
  static let server: UInt64 = 0x4E42_444D_4147_4943
  /// "IHAVEOPT".
  static let option: UInt64 = 0x4948_4156_454F_5054
  static let optionReply: UInt64 = 0x0003_E889_0455_65A9
  static let request: UInt32 = 0x2560_9513
  static let simpleReply: UInt32 = 0x6744_6698
  static let structuredReply: UInt32 = 0x668E_33EF
}

/// Handshake flags of server and client (`NBD_FLAG_*`, `NBD_FLAG_C_*`).
struct NBDHandshakeFlags: OptionSet {
  var rawValue: UInt32
  static let fixedNewstyle = NBDHandshakeFlags(rawValue: 1)
  static let noZeroes = NBDHandshakeFlags(rawValue: 2)
}

/// `NBD_OPT_*`.
enum NBDOption: UInt32 {
  case exportName = 1
  case abort = 2
  case list = 3
  case info = 6
  case go = 7
  case structuredReply = 8
}

/// `NBD_REP_*`.
enum NBDOptionReply: UInt32 {
  case acknowledge = 1
  case server = 2
  case info = 3
  case unsupported = 0x8000_0001
  case invalid = 0x8000_0003
  case unknownExport = 0x8000_0006
  case shuttingDown = 0x8000_0007
  case tooBig = 0x8000_0009
}

/// `NBD_INFO_*`.
enum NBDInformation: UInt16 {
  case export = 0
  case name = 1
  case description = 2
  case blockSize = 3
}

/// Transmission flags (`NBD_FLAG_*`).
struct NBDTransmissionFlags: OptionSet {
  var rawValue: UInt16
  static let hasFlags = NBDTransmissionFlags(rawValue: 1 << 0)
  static let readOnly = NBDTransmissionFlags(rawValue: 1 << 1)
  static let sendFlush = NBDTransmissionFlags(rawValue: 1 << 2)
  static let sendFUA = NBDTransmissionFlags(rawValue: 1 << 3)
  static let sendTrim = NBDTransmissionFlags(rawValue: 1 << 5)
  static let sendWriteZeroes = NBDTransmissionFlags(rawValue: 1 << 6)
  static let canMultiConnection = NBDTransmissionFlags(rawValue: 1 << 8)
}

/// `NBD_CMD_*`.
enum NBDCommand: UInt16 {
  case read = 0
  case write = 1
  case disconnect = 2
  case flush = 3
  case trim = 4
  case writeZeroes = 6
}

/// `NBD_CMD_FLAG_*`.
struct NBDCommandFlags: OptionSet {
  var rawValue: UInt16
  static let forceUnitAccess = NBDCommandFlags(rawValue: 1 << 0)
  static let noHole = NBDCommandFlags(rawValue: 1 << 1)
}

/// Kinds of structured reply chunks (`NBD_REPLY_TYPE_*`) and their flag.
enum NBDChunk {
  static let done: UInt16 = 1
  static let none: UInt16 = 0
  static let offsetData: UInt16 = 1
  static let error: UInt16 = 0x8001
  static let errorOffset: UInt16 = 0x8002
}

/// Error numbers on the wire (`NBD_E*`).
enum NBDError: UInt32 {
  case notPermitted = 1
  case inputOutput = 5
  case invalid = 22
  case noSpace = 28
  case notSupported = 95
  case shuttingDown = 108
}

/// Limits that keep a client from taking more than its share.
enum NBDLimits {
  /// Longest payload, as other servers have it; advertised as the maximum block size.
  static let payloadByteCount = 32 << 20
  /// Options before the client has to be done.
  static let optionCount = 64
  /// Longest option. Names are at most 4096 bytes.
  static let optionByteCount = 8192
  /// Commands without a reply on one connection; the next one is not read before one is answered.
  static let commandCount = 128
  /// Bytes of one piece that a command is cut into.
  static let pieceByteCount = 256 << 10
  /// Bytes of a header of any reply, with its error or offset.
  static let replyHeaderByteCount = 64
  /// Time for the handshake, in nanoseconds.
  static let handshakeNanoseconds: UInt64 = 10_000_000_000
}
