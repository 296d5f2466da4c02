import XenInterface
import XenStoreWire

/// The entries of an audit in one piece of memory, oldest first: each write of the store adds one, and objects of their own would cost
/// more than the write when they go, long out of any cache.
///
/// An entry is 14 bytes (time 8, domain 2, path's length 2, label's length, operation), the label and the path, in one stretch.
struct AuditRing {
  private static let headerByteCount = 14
  /// Longest entry: the label of at most 64 bytes, the path behind a domain's home.
  private static let entryByteCount = 4096
  /// Where an entry would be, in place of a path's length: the next one is at the front.
  private static let wrap: UInt16 = .max

  /// An operation is kept as its place here.
  private static let operations = XenStoreAudit.Operation.allCases

  private let byteCount: Int
  /// Grows to ``byteCount`` and then stays.
  private var bytes: [UInt8] = []
  private var head = 0
  private var tail = 0

  /// Room for entries of `byteLimit` bytes together, a further one, and what is left over at the end.
  init(byteLimit: Int) { byteCount = byteLimit + 2 * AuditRing.entryByteCount }

  mutating func append(
    _ operation: XenStoreAudit.Operation, _ path: XenStorePath, domain: DomainID, label: [UInt8], unixMicroseconds: UInt64
  ) {
    let labelByteCount = label.count
    let length = AuditRing.headerByteCount + labelByteCount + path.bytes.count
    precondition(length <= AuditRing.entryByteCount - AuditRing.headerByteCount, "an audit entry of \(length) bytes")
    if tail + length + AuditRing.headerByteCount > byteCount {
      put(AuditRing.wrap, at: tail + 10)
      tail = 0
    }
    makeRoom(length + AuditRing.headerByteCount)
    put(unixMicroseconds, at: tail)
    put(domain.rawValue, at: tail + 8)
    put(UInt16(path.bytes.count), at: tail + 10)
    bytes[tail + 12] = UInt8(labelByteCount)
    bytes[tail + 13] = UInt8(AuditRing.operations.firstIndex(of: operation) ?? 0)
    let labelStart = tail + AuditRing.headerByteCount
    bytes.replaceSubrange(labelStart..<labelStart + labelByteCount, with: label)
    bytes.replaceSubrange(labelStart + labelByteCount..<tail + length, with: path.bytes)
    tail += length
  }

  /// Takes the oldest entry out; the length of its path.
  mutating func removeFirst() -> Int {
    if pathByteCount(at: head) == AuditRing.wrap { head = 0 }
    let pathLength = Int(pathByteCount(at: head))
    head += AuditRing.headerByteCount + Int(bytes[head + 12]) + pathLength
    return pathLength
  }

  /// The oldest `count` entries, of which the first `skipped` are left out; `first` is the number of the oldest.
  func entries(count: Int, first: UInt64, skipping skipped: Int) -> [XenStoreAudit.Entry] {
    var entries: [XenStoreAudit.Entry] = []
    var position = head
    for index in 0..<count {
      if pathByteCount(at: position) == AuditRing.wrap { position = 0 }
      let labelStart = position + AuditRing.headerByteCount
      let pathStart = labelStart + Int(bytes[position + 12])
      let end = pathStart + Int(pathByteCount(at: position))
      if index >= skipped, let path = try? XenStorePath(bytes[pathStart..<end], relativeTo: .control) {
        entries.append(
          XenStoreAudit.Entry(
            sequence: first + UInt64(index), unixMicroseconds: word(at: position),
            domain: DomainID(rawValue: UInt16(truncatingIfNeeded: word(at: position + 8))),
            label: String(decoding: bytes[labelStart..<pathStart], as: UTF8.self), operation: AuditRing.operations[Int(bytes[position + 13])], path: path))
      }
      position = end
    }
    return entries
  }

  private mutating func makeRoom(_ count: Int) {
    if tail + count > bytes.count { bytes.append(contentsOf: repeatElement(0, count: tail + count - bytes.count)) }
  }

  private func pathByteCount(at position: Int) -> UInt16 { UInt16(bytes[position + 10]) | UInt16(bytes[position + 11]) << 8 }

  private func word(at position: Int) -> UInt64 { (0..<8).reduce(0) { $0 | UInt64(bytes[position + $1]) << UInt64(8 * $1) } }

  private mutating func put(_ value: some FixedWidthInteger, at position: Int) {
    for index in 0..<value.bitWidth / 8 { bytes[position + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
  }
}
