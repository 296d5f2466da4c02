import LinuxSystem
import SystemPackage
import XenInterface
import XenStoreWire

/// A store client that waits on its thread and knows exactly what was acknowledged.
final class RawStoreClient {
  private let socket: OwnedDescriptor
  private var parser = XenStorePacketParser()
  private var lastRequest: UInt32 = 0

  /// The daemon is gone.
  struct Gone: Error {}

  init(_ path: String) throws(Errno) { socket = try UnixSocket.connect(to: path, kind: .stream) }

  /// Sends a request without waiting for its reply.
  func send(_ type: XenStoreMessageType, _ payload: [UInt8], in transaction: UInt32 = 0) throws(Gone) {
    lastRequest += 1
    var bytes = XenStorePacket(type, requestID: lastRequest, transactionID: transaction, payload: payload).encoded
    while !bytes.isEmpty {
      do throws(Errno) { bytes.removeFirst(try UnixSocket.send(bytes, on: socket)) } catch { throw Gone() }
    }
  }

  /// Waits for the next packet.
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
