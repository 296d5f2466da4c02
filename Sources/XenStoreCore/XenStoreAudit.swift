public import XenInterface
public import XenStoreWire

/// Who changed what, and when: the last changes of the store, within a bound of entries and of bytes. Values are never kept.
///
/// An entry is stored as bytes; text is made only for who reads it.
public struct XenStoreAudit {
  /// What was done, by the name that a reader sees.
  public enum Operation: String, Sendable, Hashable, CaseIterable {
    case write
    case makeDirectory = "mkdir"
    case remove = "rm"
    case setPermissions = "setperms"
    case introduce
    case release
    case resume
    case setTarget = "settarget"
    case setFeature = "setfeature"
    case setQuota = "setquota"
  }

  /// One change. Its ``description`` is one line:
  ///
  ///     <seq> <unix-seconds.micros> <domid> <label> <op> <path>
  ///
  /// with single blanks between the fields; `seq` counts from 1 without gaps, `micros` has six digits, `label` has no blank and is `-`
  /// when there is none, `op` is one of ``Operation``, and `path` is absolute. A change of a whole domain has the domain's home as its
  /// path, one of the whole store `/`.
  public struct Entry: Sendable, Hashable, CustomStringConvertible {
    public let sequence: UInt64
    /// Microseconds since 1970-01-01 UTC.
    public let unixMicroseconds: UInt64
    /// Whom the connection acted as.
    public let domain: DomainID
    /// What the connection's owner said of it, such as its process.
    public let label: String
    public let operation: Operation
    public let path: XenStorePath

    public var description: String {
      let micros = String(unixMicroseconds % 1_000_000)
      let padding = String(repeating: "0", count: 6 - micros.count)
      return "\(sequence) \(unixMicroseconds / 1_000_000).\(padding)\(micros) \(domain) \(label) \(operation.rawValue) \(path)"
    }

    /// Bytes counted for an entry besides its path.
    fileprivate static let fixedByteCount = 128
    fileprivate static func byteCount(of pathByteCount: Int) -> Int { fixedByteCount + pathByteCount }
  }

  private let capacity: Int
  private let byteLimit: Int
  /// The entries one behind the other, as ``AuditRing`` keeps them.
  private var ring: AuditRing
  private var byteCount = 0
  /// Entries that are kept now.
  public private(set) var count = 0
  /// The last change's number; zero before the first.
  public private(set) var lastSequence: UInt64 = 0

  /// Keeps at most `capacity` changes, and at most about `byteLimit` bytes of them.
  public init(capacity: Int = 4096, byteLimit: Int = 1 << 20) {
    precondition(capacity > 0)
    self.capacity = capacity
    self.byteLimit = byteLimit
    ring = AuditRing(byteLimit: byteLimit)
  }

  /// Goes on behind what an earlier process kept: `entries`, the last of which has number `lastSequence`.
  init(continuing entries: [Entry], lastSequence: UInt64) {
    self.init()
    self.lastSequence = lastSequence - UInt64(entries.count)
    for entry in entries {
      append(entry.operation, entry.path, domain: entry.domain, label: Array(entry.label.utf8), unixMicroseconds: entry.unixMicroseconds)
    }
  }

  mutating func append(_ operation: Operation, _ path: XenStorePath, domain: DomainID, label: [UInt8], unixMicroseconds: UInt64) {
    lastSequence += 1
    byteCount += Entry.byteCount(of: path.bytes.count)
    while count == capacity || byteCount > byteLimit && count > 0 {
      byteCount -= Entry.byteCount(of: ring.removeFirst())
      count -= 1
    }
    ring.append(operation, path, domain: domain, label: label, unixMicroseconds: unixMicroseconds)
    count += 1
  }

  /// The kept changes that came after number `sequence`, oldest first.
  public func entries(after sequence: UInt64) -> [Entry] {
    let first = lastSequence - UInt64(count) + 1
    let skipped = sequence < first ? 0 : Int(min(sequence - first + 1, UInt64(count)))
    return ring.entries(count: count, first: first, skipping: skipped)
  }

  /// The label of what the daemon did without being asked through a connection.
  static let daemonLabel = Array("daemon".utf8)

  /// A label without blanks and control characters, at most 64 bytes: it must not break a line.
  static func label(_ text: String) -> String {
    let bytes = text.utf8.prefix(64).map { $0 > 32 && $0 < 127 ? $0 : UInt8(ascii: "_") }
    return bytes.isEmpty ? "-" : String(decoding: bytes, as: UTF8.self)
  }
}

extension XenStoreAudit.Entry {
  /// Reads one line as ``description`` gives it; nil for anything else.
  public init?(line: some StringProtocol) {
    let fields = line.split(separator: " ", omittingEmptySubsequences: false)
    guard fields.count == 6, let sequence = UInt64(fields[0]), let domain = UInt16(fields[2]), !fields[3].isEmpty,
      let operation = XenStoreAudit.Operation(rawValue: String(fields[4]))
    else { return nil }
    let time = fields[1].split(separator: ".", omittingEmptySubsequences: false)
    guard time.count == 2, let seconds = UInt64(time[0]), time[1].utf8.count == 6, let micros = UInt64(time[1]),
      seconds < UInt64.max / 1_000_000
    else { return nil }
    do throws(XenStoreError) { path = try XenStorePath(String(fields[5])) } catch { return nil }
    self.sequence = sequence
    unixMicroseconds = seconds * 1_000_000 + micros
    self.domain = DomainID(rawValue: domain)
    label = String(fields[3])
    self.operation = operation
  }
}
