import Glibc
import LinuxSystem
public import SharedMemory
public import SystemPackage

/// Memory that a back-end and whoever traces it share, as a file of the device: a word that switches tracing on, and a ring of records that
/// the back-end overwrites, whether or not somebody has read them.
///
/// The back-end makes it once at its start. Both run as the same user; what stands in it is copied once all the same.
public struct TraceFile: Sendable {
  /// "PVIOTRC2"
  static let magic: UInt64 = 0x3243_5254_4f49_5650
  static let recordCount = 1024
  static let recordByteCount = 192
  static let headerByteCount = 4096
  static let byteCount = headerByteCount + recordCount * recordByteCount
  static let nameByteCount = 16
  static let nameCount = 16

  /// Offsets in the header.
  enum Header {
    static let magic = 0
    /// Until when to trace, in nanoseconds of the monotonic clock: whoever traces moves it on, and a trace that nobody reads ends by itself.
    static let until = 16
    static let written = 32
    static let names = 64
    /// How many fields of its own a request has.
    static let fieldCount = 40
    /// For each: whether it is signed (u8), and its name.
    static let fields = 512
    static let fieldByteCount = 32
  }

  /// Offsets in a record. The number is written last.
  enum Record {
    static let number = 0, queue = 4, operation = 6, status = 7, byteCount = 8, position = 16, times = 24, fields = 104
  }

  public let bytes: SharedBytes

  /// Makes the file of a device anew, readable by its owner alone. `operations` are the names of what can be asked for, at most 16;
  /// `fields` those of a request's own fields.
  public static func create(at path: String, operations: [String], fields: [TraceField] = []) throws(Errno) -> TraceFile {
    let file = try OwnedDescriptor.open(path, flags: O_RDWR | O_CREAT, mode: 0o600)
    // All of it now: a page that cannot be had later would end the process.
    let failure = posix_fallocate(file.rawValue, 0, byteCount)
    guard failure == 0 else { throw Errno(rawValue: failure) }
    let bytes = try SharedRegion(mappingGuestMemory: file, fileOffset: 0, byteCount: byteCount).bytes
    bytes.zero(at: 0, byteCount: byteCount)
    for (index, name) in operations.prefix(nameCount).enumerated() {
      bytes.copyIn(Array(name.utf8.prefix(nameByteCount)), at: Header.names + index * nameByteCount)
    }
    let told = fields.prefix(TraceRecord.fieldCapacity)
    bytes.store32(UInt32(told.count), at: Header.fieldCount)
    for (index, field) in told.enumerated() {
      let place = Header.fields + index * Header.fieldByteCount
      bytes.store8(field.isSigned ? 1 : 0, at: place)
      bytes.copyIn(Array(field.name.utf8.prefix(Header.fieldByteCount - 1)), at: place + 1)
    }
    bytes.store64(magic, at: Header.magic)
    return TraceFile(bytes: bytes)
  }

  static func recordOffset(_ number: UInt32) -> Int { headerByteCount + Int(number % UInt32(recordCount)) * recordByteCount }
}
