import LinuxSystem
import SystemPackage
import XenInterface
import XenStoreWire

/// A store client that waits on its thread: it sends what it likes in the pieces that it likes, reads only when it is told to, and knows
/// exactly what was acknowledged.
final class RawStoreClient {
  private let socket: OwnedDescriptor
  private var parser = XenStorePacketParser()
  private var lastRequest: UInt32 = 0

  /// The daemon is gone, or has ended the connection.
  struct Gone: Error {}

  init(_ path: String) throws(Errno) { socket = try UnixSocket.connect(to: path, kind: .stream) }

  // MARK: Bytes

  /// The bytes of a request; `|` in the payload stands for NUL.
  static func request(_ type: XenStoreMessageType, _ payload: String, in transaction: UInt32 = 0) -> [UInt8] {
    let payload = payload.utf8.map { $0 == UInt8(ascii: "|") ? 0 : $0 }
    return XenStorePacket(type, requestID: 7, transactionID: transaction, payload: payload).encoded
  }

  func send(_ bytes: [UInt8]) throws(Gone) {
    var rest = bytes
    while !rest.isEmpty {
      do throws(Errno) { rest.removeFirst(try UnixSocket.send(rest, on: socket)) } catch { throw Gone() }
    }
  }

  /// Sends as much of `bytes` as the daemon takes at once; how many.
  func sendWithoutWaiting(_ bytes: [UInt8]) throws(Gone) -> Int {
    do throws(Errno) { return try UnixSocket.send(bytes, on: socket, nonBlocking: true) } catch {
      if error == .wouldBlock { return 0 }
      throw Gone()
    }
  }

  // MARK: Packets

  /// Sends a request without waiting for its reply.
  func send(_ type: XenStoreMessageType, _ payload: [UInt8], in transaction: UInt32 = 0) throws(Gone) {
    lastRequest += 1
    try send(XenStorePacket(type, requestID: lastRequest, transactionID: transaction, payload: payload).encoded)
  }

  /// Waits for the next packet, whatever it is.
  func receive() throws(Gone) -> XenStorePacket {
    while true {
      switch parser.next() {
      case .packet(let packet): return packet
      case .violation: throw Gone()
      case .needsMoreBytes:
        do throws(Errno) {
          let bytes = try UnixSocket.receive(capacity: 65_536, on: socket).bytes
          if bytes.isEmpty { throw Errno.connectionReset }
          parser.feed(bytes[...])
        } catch {
          throw Gone()
        }
      }
    }
  }

  /// Sends a request and waits for its reply.
  func call(_ type: XenStoreMessageType, _ payload: [UInt8], in transaction: UInt32 = 0) throws(Gone) -> XenStorePacket {
    try send(type, payload, in: transaction)
    return try receive()
  }

  // MARK: Text

  /// The next packet: `event /path|token|`, or a reply's payload with `|` for NUL.
  func next() throws(Gone) -> String {
    let packet = try receive()
    let text = String(decoding: packet.payload.map { $0 == 0 ? UInt8(ascii: "|") : $0 }, as: UTF8.self)
    return packet.type == .watchEvent ? "event \(text)" : text
  }

  /// Sends a request and returns the payload of what comes back.
  func ask(_ type: XenStoreMessageType, _ payload: String, in transaction: UInt32 = 0) throws(Gone) -> String {
    try send(RawStoreClient.request(type, payload, in: transaction))
    return try next()
  }

  func startTransaction() throws -> UInt32 {
    let reply = try ask(.transactionStart, "|")
    guard let id = UInt32(reply.dropLast()) else { throw TestFailure("no transaction: \(reply)") }
    return id
  }

  /// Everything below `top`, by path relative to it; nil when `top` is missing.
  func tree(_ top: String) throws(Gone) -> [String: [UInt8]]? {
    var nodes: [String: [UInt8]] = [:]
    var pending = [""]
    while let path = pending.popLast() {
      let full = path.isEmpty ? top : "\(top)/\(path)"
      let names = try call(.directory, XenStorePayload.join([full]))
      let value = try call(.read, XenStorePayload.join([full]))
      guard names.type == .directory, value.type == .read else { return nil }
      if !path.isEmpty { nodes[path] = value.payload }
      for name in XenStorePayload.strings(names.payload) ?? [] {
        let name = String(decoding: name, as: UTF8.self)
        pending.append(path.isEmpty ? name : "\(path)/\(name)")
      }
    }
    return nodes
  }
}
