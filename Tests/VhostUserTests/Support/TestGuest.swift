import Glibc
import LinuxSystem
import SharedMemory
import SystemPackage
import VirtioRing

/// A guest's memory, as a VMM has it: one file, with the rings of some queues at its start and room for data behind them.
final class TestGuest {
  static let guestAddress: UInt64 = 0x4000_0000
  static let userAddress: UInt64 = 0x7f00_0000_0000
  static let entryCount = 64
  private static let ringByteCount = 8192

  let file: SharedDescriptor
  let bytes: SharedBytes
  let format: DeviceQueue.Format
  let isEventDriven: Bool

  init(_ format: DeviceQueue.Format = .split, byteCount: Int = 1 << 20, sealed: Bool = true, eventIndex: Bool = true) throws {
    let made = try sealed ? MemoryFile.create(name: "guest", byteCount: byteCount) : MemoryFile.createUnsealed(name: "guest", byteCount: byteCount)
    bytes = try SharedRegion(mapping: made, byteCount: byteCount, access: .readWrite).bytes
    file = SharedDescriptor(made)
    self.format = format
    isEventDriven = eventIndex
  }

  /// One region message's worth of numbers.
  var region: [UInt8] { Self.region(byteCount: UInt64(bytes.byteCount)) }

  static func region(
    guest: UInt64 = guestAddress, byteCount: UInt64, user: UInt64 = userAddress, offset: UInt64 = 0
  ) -> [UInt8] {
    words(guest, byteCount, user, offset)
  }

  // MARK: Queues

  private func offsets(_ queue: Int) -> (descriptors: Int, driver: Int, device: Int) {
    let start = queue * Self.ringByteCount
    return (start, start + Self.entryCount * 16, start + Self.entryCount * 16 + 1024)
  }

  /// The VMM's addresses of a queue: descriptors, used, available, log.
  func address(of queue: Int, marksWrites: Bool = false) -> [UInt8] {
    let offsets = offsets(queue)
    let ring = format == .split ? offsets.device : offsets.descriptors
    return Array(
      bytesOf(UInt32(queue)) + bytesOf(UInt32(marksWrites ? 1 : 0))
        + words(
          Self.userAddress + UInt64(offsets.descriptors), Self.userAddress + UInt64(offsets.device), Self.userAddress + UInt64(offsets.driver),
          Self.guestAddress + UInt64(ring)))
  }

  /// The guest's driver of a queue, new.
  func driver(of queue: Int) -> TestDriver {
    let sizes = DeviceQueue.partByteCounts(format, entryCount: Self.entryCount)
    let offsets = offsets(queue)
    let parts = DeviceQueue.Parts(
      descriptors: bytes.slice(at: offsets.descriptors, byteCount: sizes.descriptors),
      driver: bytes.slice(at: offsets.driver, byteCount: sizes.driver), device: bytes.slice(at: offsets.device, byteCount: sizes.device))
    return TestDriver(
      DriverQueue(
        format, entryCount: Self.entryCount, parts: parts, features: DeviceQueue.Features(eventIndex: isEventDriven, indirect: true),
        start: format == .split ? 0 : 0x8000))
  }

  /// Where the data begins.
  static let dataOffset = 1 << 16
  func data(_ offset: Int) -> UInt64 { Self.guestAddress + UInt64(Self.dataOffset + offset) }
}

/// The driver's side as an object: the test library's macros cannot call methods of values that are not copyable.
final class TestDriver {
  private var queue: DriverQueue

  init(_ queue: consuming DriverQueue) { self.queue = queue }

  var base: UInt32 { queue.base }
  @discardableResult func add(_ buffers: [DriverQueue.Buffer]) -> UInt16? { queue.add(buffers) }
  @discardableResult func publish() -> Bool { queue.publish() }
  func takeUsed() throws(DriverQueue.Fault) -> DriverQueue.Used? { try queue.takeUsed() }
  func armCall() -> Bool { queue.armCall() }
}

func bytesOf<Word: FixedWidthInteger>(_ word: Word) -> [UInt8] {
  (0..<Word.bitWidth / 8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
}

func words(_ values: UInt64...) -> [UInt8] { values.flatMap { bytesOf($0) } }

func word64(_ bytes: [UInt8]) -> UInt64 { bytes.prefix(8).enumerated().reduce(0) { $0 | UInt64($1.element) << (8 * $1.offset) } }
