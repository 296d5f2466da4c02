import LinuxSystem
import SharedMemory
import SharedRing
import Testing
import XenInterface

/// A request of 24 bytes whose words all follow from its identifier, so that a torn or stale copy shows.
struct TestRequest: WireRecord, Equatable {
  static let byteCount = 24
  var identifier: UInt64
  var double: UInt64
  var low: UInt32
  var inverted: UInt32

  init() { self.init(identifier: 0) }

  init(identifier: UInt64) {
    self.identifier = identifier
    double = identifier &* 2
    low = UInt32(truncatingIfNeeded: identifier)
    inverted = ~low
  }

  init<S: WireSource & ~Copyable>(copying source: borrowing S, at offset: Int) {
    identifier = source.loadWord64(at: offset)
    double = source.loadWord64(at: offset + 8)
    low = source.loadWord32(at: offset + 16)
    inverted = source.loadWord32(at: offset + 20)
  }

  func store<S: WireSink & ~Copyable>(to sink: borrowing S, at offset: Int) {
    sink.storeWord64(identifier, at: offset)
    sink.storeWord64(double, at: offset + 8)
    sink.storeWord32(low, at: offset + 16)
    sink.storeWord32(inverted, at: offset + 20)
  }

  var isWhole: Bool { self == TestRequest(identifier: identifier) }
}

/// A response of 12 bytes (an identifier that is only four-byte aligned in the 32-bit layout) and four undefined ones.
struct TestResponse: WireRecord, Equatable {
  static let byteCount = 16
  var status: UInt32
  var identifier: UInt64

  init() { self.init(identifier: 0) }

  init(identifier: UInt64) {
    self.identifier = identifier
    status = ~UInt32(truncatingIfNeeded: identifier)
  }

  init<S: WireSource & ~Copyable>(copying source: borrowing S, at offset: Int) {
    status = source.loadWord32(at: offset)
    identifier = source.loadWord64(at: offset + 4)
  }

  func store<S: WireSink & ~Copyable>(to sink: borrowing S, at offset: Int) {
    sink.storeWord32(status, at: offset)
    sink.storeWord64(identifier, at: offset + 4)
    sink.storeWord32(0, at: offset + 12)
  }

  var isWhole: Bool { self == TestResponse(identifier: identifier) }
}

typealias TestFront = FrontRing<TestRequest, TestResponse>
typealias TestBack = BackRing<TestRequest, TestResponse>

/// Offsets of the four shared indices, as a hostile peer knows them (xen/include/public/io/ring.h).
enum Shared {
  static let requestProducer = 0
  static let requestEvent = 4
  static let responseProducer = 8
  static let responseEvent = 12
  static let entries = 64
}

/// Indices at which every ring test starts: the beginning, the middle of a ring, and just before the wrap.
let startIndices: [UInt32] = [0, 5, .max - 3, .max]

/// Entry size of the test rings; a page holds 128 of them.
let testEntryByteCount = 28

/// Zeroed memory as two processes would share it.
func makeSharedPages(_ count: Int = 1) throws -> SharedBytes {
  let file = try MemoryFile.create(name: "ring-test", byteCount: count * pageByteCount)
  return try SharedRegion(mapping: file, byteCount: count * pageByteCount, access: .readWrite).bytes
}

/// Memory for a ring of exactly `entryCount` test entries.
func makeRingMemory(entryCount: Int) throws -> SharedBytes {
  let needed = Shared.entries + entryCount * testEntryByteCount
  return try makeSharedPages((needed + pageByteCount - 1) / pageByteCount).slice(at: 0, byteCount: needed)
}

/// The fault that `body` throws, or nil.
func fault(of body: () throws(RingFault) -> Void) -> RingFault? {
  do {
    try body()
    return nil
  } catch { return error }
}
