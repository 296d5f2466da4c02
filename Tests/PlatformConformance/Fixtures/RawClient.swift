import BrokerWire
import Glibc
import LinuxSystem
import SystemPackage
import Testing

/// A client of the broker that sends whatever it likes.
final class RawClient {
  let socket: OwnedDescriptor

  init(_ path: String, saysHello: Bool = true) throws {
    socket = try UnixSocket.connect(to: path, kind: .sequencedPacket)
    if saysHello {
      try send(.hello(version: BrokerProtocol.version))
      guard case .welcome = try receive() else { throw Unexpected() }
    }
  }

  struct Unexpected: Error {}

  func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws { _ = try UnixSocket.send(bytes, descriptors: descriptors, on: socket) }

  func send(_ request: BrokerRequest, descriptors: [Int32] = []) throws { try send(request.encoded(requestID: 1), descriptors: descriptors) }

  /// The next message; nil when the broker has closed the connection. Descriptors are dropped.
  func receive() throws -> BrokerMessage? {
    var poll = pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0)
    guard unsafe Glibc.poll(&poll, 1, 10_000) == 1 else { throw Unexpected() }
    let packet: (bytes: [UInt8], descriptors: [Int32])
    do throws(Errno) {
      packet = try UnixSocket.receive(capacity: BrokerProtocol.maximumMessageByteCount, on: socket)
    } catch {
      guard error == .connectionReset else { throw error }
      return nil
    }
    packet.descriptors.forEach { close($0) }
    return packet.bytes.isEmpty ? nil : try BrokerMessage.decode(packet.bytes).message
  }

  func ask(_ request: BrokerRequest, descriptors: [Int32] = []) throws -> BrokerMessage? {
    try send(request, descriptors: descriptors)
    return try receive()
  }
}

/// Descriptors that this process has open.
func openDescriptorCount() -> Int {
  guard let directory = unsafe opendir("/proc/self/fd") else { return -1 }
  defer { unsafe closedir(directory) }
  var count = 0
  while unsafe readdir(directory) != nil { count += 1 }
  return count
}
