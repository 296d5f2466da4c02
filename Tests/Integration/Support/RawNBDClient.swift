import LinuxSystem

/// An NBD client that asks for anything, also for what the server said it would refuse (well-behaved clients do not ask).
///
/// Speaks the oldest form of the fixed newstyle handshake (`NBD_OPT_EXPORT_NAME`) and simple replies.
final class RawNBDClient {
  enum Command: UInt16 { case read = 0, write = 1, flush = 3, trim = 4 }

  private let socket: OwnedDescriptor
  /// Size of the export in bytes.
  private(set) var byteCount: UInt64 = 0
  /// `NBD_FLAG_*` of the export.
  private(set) var flags: UInt16 = 0
  private var cookie: UInt64 = 0

  init(socketPath: String) throws {
    socket = try UnixSocket.connect(to: socketPath, kind: .stream)
    let greeting = try receive(18)
    guard number(greeting[0..<8]) == 0x4e42_444d_4147_4943 else { throw TestFailure("no NBD server at \(socketPath)") }
    // Fixed newstyle, no zeroes after the export's flags.
    try send(bytes(3, 4))
    try send(bytes(0x4948_4156_454f_5054, 8) + bytes(1, 4) + bytes(0, 4))
    let export = try receive(10)
    byteCount = number(export[0..<8])
    flags = UInt16(number(export[8..<10]))
  }

  /// Sends a request and returns the error of its reply (0: done), with what was read.
  func request(_ command: Command, offset: UInt64, byteCount: Int, data: [UInt8] = []) throws -> (error: UInt32, data: [UInt8]) {
    cookie += 1
    try send(
      bytes(0x2560_9513, 4) + bytes(0, 2) + bytes(UInt64(command.rawValue), 2) + bytes(cookie, 8) + bytes(offset, 8)
        + bytes(UInt64(byteCount), 4) + data)
    let reply = try receive(16)
    guard number(reply[0..<4]) == 0x6744_6698, number(reply[8..<16]) == cookie else { throw TestFailure("no reply to our request") }
    let error = UInt32(number(reply[4..<8]))
    return (error, command == .read && error == 0 ? try receive(byteCount) : [])
  }

  private func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
  }

  private func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

  private func send(_ bytes: [UInt8]) throws {
    var rest = bytes
    while !rest.isEmpty { rest.removeFirst(try UnixSocket.send(rest, on: socket)) }
  }

  private func receive(_ count: Int) throws -> [UInt8] {
    var result: [UInt8] = []
    while result.count < count {
      let more = try UnixSocket.receive(capacity: count - result.count, on: socket).bytes
      if more.isEmpty { throw TestFailure("the NBD server ended the connection") }
      result += more
    }
    return result
  }
}
