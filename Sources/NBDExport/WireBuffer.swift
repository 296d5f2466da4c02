import LinuxSystem
import SharedMemory
import SystemPackage

/// Memory at a stable address that the kernel fills or empties: the bytes between the socket and the parser.
/// Private to this process, mapped from a memory file because that gives checked access and an address.
struct WireBuffer {
  let bytes: SharedBytes

  init(byteCount: Int) throws(Errno) {
    let file = try MemoryFile.create(name: "pvio-nbd", byteCount: byteCount)
    bytes = try SharedRegion(mapping: file, byteCount: byteCount, access: .readWrite).bytes
  }

  func load16(at offset: Int) -> UInt16 { UInt16(bytes.load8(at: offset)) << 8 | UInt16(bytes.load8(at: offset + 1)) }
  func load32(at offset: Int) -> UInt32 { UInt32(load16(at: offset)) << 16 | UInt32(load16(at: offset + 2)) }
  func load64(at offset: Int) -> UInt64 { UInt64(load32(at: offset)) << 32 | UInt64(load32(at: offset + 4)) }

  func store<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value, at offset: Int) {
    let count = Value.bitWidth / 8
    for index in 0..<count { bytes.store8(UInt8(truncatingIfNeeded: value >> Value((count - 1 - index) * 8)), at: offset + index) }
  }
}

/// Big-endian bytes for a reply of the handshake.
extension Array where Element == UInt8 {
  mutating func append<Value: FixedWidthInteger & UnsignedInteger>(bigEndian value: Value) {
    let count = Value.bitWidth / 8
    for index in 0..<count { append(UInt8(truncatingIfNeeded: value >> Value((count - 1 - index) * 8))) }
  }
}

/// What was received and not consumed yet.
struct ReceiveWindow {
  let buffer: WireBuffer
  private(set) var start = 0
  private(set) var end = 0

  init(byteCount: Int) throws(Errno) { buffer = try WireBuffer(byteCount: byteCount) }

  var count: Int { end - start }
  private var capacity: Int { buffer.bytes.byteCount }

  /// Where the next bytes go: what is left is moved to the front first, when there is too little room behind it.
  mutating func prepareToReceive(atLeast minimum: Int) -> (address: UInt, byteCount: Int) {
    if start == end {
      start = 0
      end = 0
    } else if capacity - start < minimum || end == capacity {
      let rest = buffer.bytes.copyOut(at: start, byteCount: count)
      buffer.bytes.copyIn(rest, at: 0)
      end = rest.count
      start = 0
    }
    precondition(end < capacity, "the parser waits for more than the buffer holds")
    return (buffer.bytes.address + UInt(end), capacity - end)
  }

  mutating func received(_ count: Int) { end += count }

  mutating func consume(_ count: Int) {
    precondition(count <= self.count)
    start += count
  }

  func load16(at offset: Int) -> UInt16 { buffer.load16(at: start + offset) }
  func load32(at offset: Int) -> UInt32 { buffer.load32(at: start + offset) }
  func load64(at offset: Int) -> UInt64 { buffer.load64(at: start + offset) }

  mutating func take(_ count: Int) -> [UInt8] {
    defer { start += count }
    return buffer.bytes.copyOut(at: start, byteCount: count)
  }
}
