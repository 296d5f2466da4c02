import NetInterface
import NetPackets
import SharedMemory
import SystemPackage

/// Frames for a guest that has posted too few buffers: copies in private memory, first in, first out.
///
/// Bounded in bytes and in frames, whatever the guest does (XSA-392). One region, used as a ring; a frame lies in one piece.
struct ReceiveBacklog: ~Copyable {
  private struct Entry {
    var offset = 0
    var byteCount = 0
    var offload = FrameOffload()
    var hash: FrameHash?
    var arrival: UInt64 = 0
  }

  /// Bytes kept at most: 128 pages, as in Linux (`XEN_NETBK_RX_QUEUE_SIZE`'s default bytes).
  static let byteCapacity = 128 * 4096
  private static let entryCapacity = 1024

  private let bytes: SharedBytes
  private let entries = FixedTable(repeating: Entry(), count: ReceiveBacklog.entryCapacity)
  private var first = 0
  private(set) var count = 0
  /// The region is in use from here (the first frame) …
  private var start = 0
  /// … up to here, around its end if that is smaller.
  private var end = 0

  init() throws(Errno) { bytes = try SharedRegion(anonymousByteCount: Self.byteCapacity).bytes }

  var isEmpty: Bool { count == 0 }

  /// When the first frame came, in nanoseconds.
  var oldestArrival: UInt64? { count > 0 ? entries[first].arrival : nil }

  /// The hash of the first frame.
  var firstHash: FrameHash? { count > 0 ? entries[first].hash : nil }

  /// Copies a frame to the end. False when there is no room.
  mutating func append(_ frame: Frame, _ hash: FrameHash?, now: UInt64) -> Bool {
    guard count < Self.entryCapacity, let offset = room(for: frame.byteCount) else { return false }
    frame.copy(from: 0, byteCount: frame.byteCount, to: bytes, at: offset)
    end = offset + frame.byteCount
    entries[(first + count) % Self.entryCapacity] = Entry(
      offset: offset, byteCount: frame.byteCount, offload: frame.offload, hash: hash, arrival: now)
    count += 1
    return true
  }

  /// Where a frame of `byteCount` bytes can lie; nil when it cannot.
  private mutating func room(for byteCount: Int) -> Int? {
    if count == 0 { (start, end) = (0, 0) }
    if end < start { return start - end > byteCount ? end : nil }
    if Self.byteCapacity - end >= byteCount { return end }
    return start > byteCount ? 0 : nil
  }

  /// Makes `frame` the first one that is kept. It stays valid until ``removeFirst()``.
  func first(as frame: Frame) {
    let entry = entries[first]
    let head = min(entry.byteCount, Frame.headCapacity)
    frame.reset(headByteCount: head)
    frame.head.copy(from: bytes, sourceOffset: entry.offset, to: 0, byteCount: head)
    frame.append(bytes.vector(at: entry.offset + head, byteCount: entry.byteCount - head))
    frame.offload = entry.offload
  }

  mutating func removeFirst() {
    precondition(count > 0, "nothing is kept")
    first = (first + 1) % Self.entryCapacity
    count -= 1
    if count > 0 { start = entries[first].offset }
  }
}
