import LinuxSystem
import SystemPackage

/// A client that says whatever a test wants it to say.
final class RawClient {
  private let socket: OwnedDescriptor

  init(_ path: String) throws { socket = try UnixSocket.connect(to: path, kind: .stream) }

  func send(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = try UnixSocket.send(Array(rest), on: socket)
      rest = rest.dropFirst(count)
    }
  }

  /// Exactly `count` bytes; fewer when the server closes the connection.
  func receive(_ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let more = try UnixSocket.receive(capacity: count - bytes.count, on: socket).bytes
      if more.isEmpty { break }
      bytes += more
    }
    return bytes
  }

  /// Whether the server has closed the connection, once everything before that is read.
  func isClosed() -> Bool {
    while true {
      guard let bytes = try? UnixSocket.receive(capacity: 65536, on: socket).bytes else { return true }
      if bytes.isEmpty { return true }
    }
  }

  func greet() throws {
    let greeting = try receive(18)
    precondition(greeting.count == 18)
    try send(big(UInt32(3)))
  }

  /// Through `NBD_OPT_GO`, as far as transmission.
  func go(structured: Bool) throws {
    try greet()
    if structured {
      try send(option(8, []))
      _ = try receive(20)
    }
    try send(option(7, big(UInt32(0)) + big(UInt16(0))))
    while true {
      let header = try receive(20)
      guard header.count == 20 else { throw Errno.connectionReset }
      let kind = number(header[12..<16])
      _ = try receive(Int(number(header[16..<20])))
      if kind == 1 { return }
      if kind & 0x8000_0000 != 0 { throw Errno.invalidArgument }
    }
  }

  func option(_ number: UInt32, _ data: [UInt8]) -> [UInt8] {
    big(0x4948_4156_454F_5054 as UInt64) + big(number) + big(UInt32(data.count)) + data
  }

  func command(_ number: UInt16, flags: UInt16 = 0, cookie: UInt64 = 7, offset: UInt64 = 0, byteCount: UInt32 = 0, magic: UInt32 = 0x2560_9513) -> [UInt8] {
    big(magic) + big(flags) + big(number) + big(cookie) + big(offset) + big(byteCount)
  }

  /// A simple reply's error and cookie.
  func simpleReply() throws -> (error: UInt64, cookie: UInt64)? {
    let reply = try receive(16)
    guard reply.count == 16, number(reply[0..<4]) == 0x6744_6698 else { return nil }
    return (number(reply[4..<8]), number(reply[8..<16]))
  }

  func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
}

func big<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value) -> [UInt8] {
  (0..<Value.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: value >> Value($0 * 8)) }
}
