import SharedMemory
import VirtioRing

#if PACKED
  private let format = DeviceQueue.Format.packed
#else
  private let format = DeviceQueue.Format.split
#endif

/// Bytes as what a hostile driver does to a queue, and a VMM to the record of what is under way. What must hold, whatever they say: no trap,
/// every buffer lies in the guest's memory, no more chains under way than the queue has entries, and a queue that is broken stays broken.
///
/// The first byte says which features the queue has. Each byte behind it is an operation in its low four bits, with numbers behind it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzVirtqueue(_ bytes: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
  // SAFETY: libFuzzer passes `byteCount` readable bytes for the length of this call; they are copied at once.
  let input = unsafe bytes.map { unsafe Array(UnsafeBufferPointer(start: $0, count: byteCount)) } ?? []
  var fuzz = VirtqueueFuzz(input)
  fuzz.run()
  return 0
}

/// Memory that all inputs use; cleared for each.
private enum Guest {
  static let byteCount = 8192
  static let guestAddress: UInt64 = 0x1000
  static let bytes = make(byteCount)
  /// Follows the first region, so that buffers lie across both.
  static let more = make(4096)
  static let record = make(4096)

  private static func make(_ byteCount: Int) -> SharedBytes {
    do { return try SharedRegion(anonymousByteCount: byteCount).bytes } catch { fatalError("no memory: \(error)") }
  }
}

struct VirtqueueFuzz {
  private let input: [UInt8]
  private var position = 0
  private let memory = GuestMemory()
  private let entryCount: Int
  private let features: DeviceQueue.Features
  private let hasRecord: Bool
  private let parts: DeviceQueue.Parts

  init(_ input: [UInt8]) {
    self.input = input
    let options = input.first ?? 0
    position = 1
    entryCount = format == .split ? 1 << Int(options >> 4 & 3) : 1 + Int(options >> 4 & 7)
    features = DeviceQueue.Features(eventIndex: options & 1 != 0, indirect: options & 2 != 0, inOrder: options & 0x80 != 0)
    hasRecord = options & 4 != 0
    for bytes in [Guest.bytes, Guest.more, Guest.record] { bytes.zero(at: 0, byteCount: bytes.byteCount) }
    let sizes = DeviceQueue.partByteCounts(format, entryCount: entryCount)
    // Close together, so that few numbers reach all of them: descriptors at 0, the driver's part at 256, the device's at 384.
    parts = DeviceQueue.Parts(
      descriptors: Guest.bytes.slice(at: 0, byteCount: sizes.descriptors), driver: Guest.bytes.slice(at: 256, byteCount: sizes.driver),
      device: Guest.bytes.slice(at: 384, byteCount: sizes.device), logAddress: Guest.guestAddress)
    do {
      try memory.add(Guest.bytes, guestAddress: Guest.guestAddress, userAddress: 0)
      try memory.add(Guest.more, guestAddress: Guest.guestAddress + UInt64(Guest.byteCount), userAddress: 0x10_0000)
    } catch { fatalError("the regions do not fit: \(error)") }
    if options & 8 != 0 {
      memory.dirtyLog.use(Guest.record.slice(at: 2048, byteCount: 64))
      memory.dirtyLog.setActive(true)
    }
  }

  private mutating func next() -> UInt8 {
    guard position < input.count else { return 0 }
    defer { position += 1 }
    return input[position]
  }

  private mutating func next16() -> UInt16 { UInt16(next()) | UInt16(next()) << 8 }

  private func attach(base: UInt32) -> DeviceQueue {
    do {
      return try DeviceQueue(
        format, entryCount: entryCount, parts: parts, features: features, memory: memory, base: base,
        inflight: hasRecord ? InflightRecord(Guest.record, entryCount: entryCount) : nil,
        packedInflight: hasRecord ? PackedInflightRecord(Guest.record, entryCount: entryCount) : nil)
    } catch { fatalError("a queue that is in order was refused: \(error)") }
  }

  mutating func run() {
    var queue = attach(base: format == .split ? 0 : 0x8000_8000)
    var taken: [UInt16] = []
    var fault: VirtqueueFault?
    while position < input.count {
      let operation = next()
      switch operation & 15 {
      case 0, 1, 2, 3: write(Guest.bytes, at: Int(operation & 3) * 128 + Int(next()), count: Int(operation >> 4) + 1)
      case 4: write(Guest.bytes, at: Int(next16()), count: Int(operation >> 4) + 1)
      case 5: write(Guest.record, at: Int(next16()), count: Int(operation >> 4) + 1)
      case 6: descriptor(at: Int(operation >> 4) * 16)
      case 7: parts.driver.store16(next16(), at: 2)
      case 8, 9, 10:
        do throws(VirtqueueFault) {
          guard let chain = try queue.take() else { continue }
          precondition(fault == nil, "a broken queue gave a chain")
          check(chain, queue)
          taken.append(chain.id)
        } catch {
          precondition(fault == nil || fault == error, "a broken queue broke again: \(error)")
          fault = error
        }
      case 11, 12:
        guard !taken.isEmpty else { continue }
        queue.put(taken.remove(at: Int(next()) % taken.count), writtenByteCount: UInt32(operation >> 4))
      case 13: _ = queue.publish()
      case 14:
        if operation >> 4 & 1 == 0 { _ = queue.armKick() } else { queue.disarmKick() }
        _ = queue.hasChains()
      default:
        // A new back-end, which knows where the last one was, or does not.
        queue = attach(base: operation >> 4 & 1 == 0 ? queue.base : UInt32(next16()) | UInt32(next16()) << 16)
        taken = []
        fault = nil
      }
      precondition(queue.unansweredCount == taken.count && taken.count <= entryCount, "\(queue.unansweredCount) under way of \(taken.count) taken")
    }
  }

  private mutating func write(_ target: SharedBytes, at offset: Int, count: Int) {
    for place in 0..<count { target.store8(next(), at: (offset + place) % target.byteCount) }
  }

  /// A descriptor that makes sense more often than four random words would.
  private mutating func descriptor(at offset: Int) {
    let address = UInt64(next16())
    let second = UInt64(next16()) | UInt64(next()) << 32
    Guest.bytes.store64(address, at: offset)
    Guest.bytes.store64(second | UInt64(next()) << 48 | (format == .packed ? UInt64(next() & 0x81) << 56 : 0), at: offset + 8)
  }

  private func check(_ chain: DeviceQueue.Chain, _ queue: borrowing DeviceQueue) {
    var readableByteCount = 0
    var writableByteCount = 0
    precondition(chain.elementCount > 0 && chain.readableCount <= chain.elementCount, "a chain of \(chain)")
    for position in 0..<chain.elementCount {
      let buffer = queue.elements[position]
      let region = buffer.region == 0 ? Guest.bytes : Guest.more
      precondition(buffer.region == 0 || buffer.region == 1, "a buffer in no region")
      precondition(buffer.byteCount > 0 && buffer.address >= region.address, "a buffer before its region")
      precondition(buffer.address - region.address + UInt(buffer.byteCount) <= UInt(region.byteCount), "a buffer beyond its region")
      if position < chain.readableCount { readableByteCount += buffer.byteCount } else { writableByteCount += buffer.byteCount }
    }
    precondition(readableByteCount == chain.readableByteCount && writableByteCount == chain.writableByteCount, "lengths that do not add up: \(chain)")
  }
}
