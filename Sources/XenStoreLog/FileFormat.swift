/// What the files of a state directory begin with.
///
/// Magic (8 bytes), version (4), checksum (4), number of the file (8), its identity (8), bytes it had when it was made (8). The rest of
/// the first 4096 bytes is zero. Frames follow.
struct FileHeader: Equatable {
  enum Kind { case log, snapshot }

  static let byteCount = 4096
  static let version: UInt32 = 1
  private static let usedByteCount = 40

  var kind: Kind
  var number: UInt64
  /// Drawn at random for each file and repeated in each of its frames, so that nothing that lay on the disk before, and nothing a
  /// client writes, is ever taken for a frame.
  var identity: UInt64
  /// A file that has become shorter than this was damaged: the size was on disk before the file was used.
  var initialByteCount: UInt64

  private static func magic(_ kind: Kind) -> [UInt8] {
    switch kind {
    case .log: Array("pviolog\n".utf8)
    case .snapshot: Array("pviosnp\n".utf8)
    }
  }

  var encoded: [UInt8] {
    var bytes = FileHeader.magic(kind)
    bytes.append(number: FileHeader.version)
    bytes.append(number: UInt32(0))
    bytes.append(number: number)
    bytes.append(number: identity)
    bytes.append(number: initialByteCount)
    bytes.set(number: CRC32C.of(bytes, in: 0..<bytes.count), at: 12)
    return bytes + [UInt8](repeating: 0, count: FileHeader.byteCount - bytes.count)
  }

  enum Problem: Error { case unreadable, version(UInt32) }

  /// Reads the header of a file of `kind`.
  init(_ bytes: [UInt8], kind: Kind) throws(Problem) {
    guard bytes.count >= FileHeader.byteCount, bytes.starts(with: FileHeader.magic(kind)) else { throw .unreadable }
    let version = bytes.number(at: 8, as: UInt32.self)
    guard version == FileHeader.version else { throw .version(version) }
    var checked = Array(bytes[..<FileHeader.usedByteCount])
    checked.set(number: UInt32(0), at: 12)
    guard CRC32C.of(checked, in: 0..<checked.count) == bytes.number(at: 12, as: UInt32.self) else { throw .unreadable }
    self.kind = kind
    number = bytes.number(at: 16)
    identity = bytes.number(at: 24)
    initialByteCount = bytes.number(at: 32)
  }

  init(kind: Kind, number: UInt64, initialByteCount: Int) {
    self.kind = kind
    self.number = number
    identity = UInt64.random(in: 1...UInt64.max)
    self.initialByteCount = UInt64(initialByteCount)
  }
}

/// One piece of a file that was written and made durable at once, with one checksum over all of it: after a crash a frame is there as a
/// whole or not at all.
///
/// Identity of the file (8 bytes), bytes of the payload (4), checksum (4), sequence (8), number of entries (4), kind (4), payload,
/// zeros up to a multiple of 8.
struct Frame {
  enum Kind: UInt32 {
    /// Commits, the first of which has the frame's sequence.
    case commits = 1
    /// The daemon stopped in order; its sequence is that of the next commit.
    case end
    /// Changes that make a snapshot; its sequence counts frames from 0.
    case changes
    /// The end of a snapshot: its sequence is that of the snapshot's last commit, its payload the generation.
    case snapshotEnd
  }

  static let headerByteCount = 32
  static let alignment = 8

  var kind: Kind
  var sequence: UInt64
  var entryCount: UInt32
  /// Where the payload lies in the file.
  var payload: Range<Int>

  /// Where the next frame begins.
  var end: Int { Frame.aligned(payload.upperBound) }

  static func aligned(_ offset: Int) -> Int { (offset + alignment - 1) & ~(alignment - 1) }

  /// Makes a frame of `bytes`, whose first ``headerByteCount`` bytes are kept for the header.
  static func complete(_ bytes: inout [UInt8], identity: UInt64, kind: Kind, sequence: UInt64, entryCount: Int) {
    let payloadByteCount = bytes.count - headerByteCount
    bytes.append(contentsOf: repeatElement(0, count: aligned(bytes.count) - bytes.count))
    bytes.set(number: identity, at: 0)
    bytes.set(number: UInt32(payloadByteCount), at: 8)
    bytes.set(number: UInt32(0), at: 12)
    bytes.set(number: sequence, at: 16)
    bytes.set(number: UInt32(entryCount), at: 24)
    bytes.set(number: kind.rawValue, at: 28)
    bytes.set(number: CRC32C.of(bytes, in: 0..<(headerByteCount + payloadByteCount)), at: 12)
  }

  /// The frame at `offset` of a file, if there is a whole one.
  init?(in bytes: [UInt8], at offset: Int, identity: UInt64) {
    guard offset >= 0, bytes.count - offset >= Frame.headerByteCount, bytes.number(at: offset, as: UInt64.self) == identity else { return nil }
    let payloadByteCount = Int(bytes.number(at: offset + 8, as: UInt32.self))
    let start = offset + Frame.headerByteCount
    guard bytes.count - start >= payloadByteCount, let kind = Kind(rawValue: bytes.number(at: offset + 28)) else { return nil }
    var header = Array(bytes[offset..<start])
    header.set(number: UInt32(0), at: 12)
    var sum = CRC32C()
    sum.add(header.span, in: 0..<header.count)
    sum.add(bytes.span, in: start..<(start + payloadByteCount))
    guard sum.value == bytes.number(at: offset + 12, as: UInt32.self) else { return nil }
    self.kind = kind
    sequence = bytes.number(at: offset + 16)
    entryCount = bytes.number(at: offset + 24)
    payload = start..<(start + payloadByteCount)
  }
}
