import NetPackets
import SharedMemory

extension Frame {
  /// A frame that lies in its head.
  static func made(_ bytes: [UInt8]) -> Frame {
    guard let memory = try? SharedRegion(anonymousByteCount: 4096).bytes else { fatalError("no memory") }
    let frame = Frame(index: 0, head: memory)
    frame.reset(headByteCount: bytes.count)
    frame.head.copyIn(bytes, at: 0)
    return frame
  }
}

func ethernet(type: UInt16 = 0x0800) -> [UInt8] {
  [0, 0x16, 0x3e, 0, 0, 2, 0, 0x16, 0x3e, 0, 0, 1, UInt8(type >> 8), UInt8(truncatingIfNeeded: type)]
}

func ipv4(_ transport: UInt8) -> [UInt8] { [0x45, 0, 0, 60, 0, 1, 0, 0, 64, transport, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2] }

func ipv6(_ next: UInt8) -> [UInt8] { [0x60, 0, 0, 0, 0, 40, next, 64] + (0..<32).map { UInt8($0 * 5) } }

func tcp() -> [UInt8] { [0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0] }

func udp() -> [UInt8] { [0x12, 0x34, 0, 53, 0, 8, 0, 0] }

/// xorshift64*: the same numbers for the same seed.
struct Seeded {
  var state: UInt64
  mutating func next() -> UInt64 {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return state &* 0x2545_f491_4f6c_dd1d
  }
}
