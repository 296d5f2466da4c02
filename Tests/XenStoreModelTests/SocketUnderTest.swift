import LinuxSystem
import SystemPackage
import XenInterface
import XenStoreWire

/// A daemon behind a socket, to which every client is privileged.
final class SocketUnderTest: StoreUnderTest {
  private struct Connection: ~Copyable {
    let socket: OwnedDescriptor
    var parser = XenStorePacketParser()

    mutating func next() throws -> XenStorePacket {
      while true {
        if case .packet(let packet) = parser.next() { return packet }
        let bytes = try UnixSocket.receive(capacity: 65536, on: socket).bytes
        guard !bytes.isEmpty else { throw Errno.connectionReset }
        parser.feed(bytes)
      }
    }

    mutating func send(_ packet: XenStorePacket) throws {
      var rest = packet.encoded
      while !rest.isEmpty { rest.removeFirst(try UnixSocket.send(rest, on: socket)) }
    }
  }

  private final class Client {
    var connection: Connection
    init(path: String) throws { connection = Connection(socket: try UnixSocket.connect(to: path, kind: .stream)) }
  }

  private let path: String
  private var clients: [Int: Client] = [:]

  init(path: String) { self.path = path }

  func connect(_ client: Int, domain: Int) throws { clients[client] = try Client(path: path) }

  func disconnect(_ client: Int) throws {
    clients[client] = nil
    // The daemon notices when it next looks, which an answer to somebody shows.
    for other in clients.keys { _ = try settle(other) }
  }

  func takeEnded() -> [Int] { [] }

  func perform(_ request: XenStorePacket, from client: Int) throws -> Received {
    var received: Received = [:]
    try clients[client]!.connection.send(request)
    var packets: [XenStorePacket] = []
    repeat { packets.append(try clients[client]!.connection.next()) } while packets.last!.type == .watchEvent
    received[client] = packets + (try settle(client))
    for other in clients.keys where other != client { received[other] = try settle(other) }
    return received
  }

  /// The events that a client has yet to get: those before the answer to another request.
  private func settle(_ client: Int) throws -> [XenStorePacket] {
    try clients[client]!.connection.send(XenStorePacket(.getDomainPath, requestID: 99, strings: ["0"]))
    var packets: [XenStorePacket] = []
    repeat { packets.append(try clients[client]!.connection.next()) } while packets.last!.requestID != 99
    return packets.dropLast()
  }

  /// Takes all that is there away.
  func clear() throws {
    let client = try Client(path: path)
    func ask(_ type: XenStoreMessageType, _ strings: [String]) throws -> XenStorePacket {
      try client.connection.send(XenStorePacket(type, strings: strings))
      return try client.connection.next()
    }
    _ = try ask(.setPermissions, ["/", "n0"])
    _ = try ask(.write, ["/"])
    for name in try ask(.directory, ["/"]).payload.split(separator: 0) { _ = try ask(.remove, ["/" + String(decoding: name, as: UTF8.self)]) }
  }
}
