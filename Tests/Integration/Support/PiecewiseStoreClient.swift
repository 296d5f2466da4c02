import LinuxSystem
import XenInterface

/// A store client that sends what it likes in the pieces that it likes, and reads only when it is told to.
final class PiecewiseStoreClient {
  struct Packet: Equatable {
    var type: UInt32
    var payload: String

    /// `= value`, `event /path|token|`, or the name of an error.
    var text: String {
      switch type {
      case XenStoreMessageType.watchEvent.rawValue: "event \(payload)"
      default: payload
      }
    }
  }

  private let socket: OwnedDescriptor
  private var received: [UInt8] = []

  init(path: String) throws { socket = try UnixSocket.connect(to: path, kind: .stream) }

  /// The bytes of a request; `|` in the payload stands for NUL.
  static func request(_ type: XenStoreMessageType, _ payload: String, in transaction: UInt32 = 0) -> [UInt8] {
    let payload = payload.utf8.map { $0 == UInt8(ascii: "|") ? 0 : $0 }
    return [type.rawValue, 7, transaction, UInt32(payload.count)].flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } } + payload
  }

  func send(_ bytes: [UInt8]) throws {
    var rest = bytes
    while !rest.isEmpty { rest.removeFirst(try UnixSocket.send(rest, on: socket)) }
  }

  /// The next packet, whatever it is.
  func next() throws -> Packet {
    let header = try take(16)
    func word(_ index: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(header[4 * index + $1]) << UInt32(8 * $1) } }
    let payload = try take(Int(word(3)))
    return Packet(type: word(0), payload: String(decoding: payload.map { $0 == 0 ? UInt8(ascii: "|") : $0 }, as: UTF8.self))
  }

  /// Sends a request and returns the payload of what comes back.
  func ask(_ type: XenStoreMessageType, _ payload: String, in transaction: UInt32 = 0) throws -> String {
    try send(PiecewiseStoreClient.request(type, payload, in: transaction))
    return try next().text
  }

  func startTransaction() throws -> UInt32 {
    let reply = try ask(.transactionStart, "|")
    guard let id = UInt32(reply.dropLast()) else { throw TestFailure("no transaction: \(reply)") }
    return id
  }

  private func take(_ count: Int) throws -> ArraySlice<UInt8> {
    while received.count < count {
      let more = try UnixSocket.receive(capacity: 1 << 16, on: socket).bytes
      if more.isEmpty { throw TestFailure("the store has ended the connection") }
      received += more
    }
    defer { received.removeFirst(count) }
    return received[..<count]
  }
}
