public import LinuxSystem
public import SystemPackage
import Synchronization

/// A transport over a Unix socket: one thread that waits for bytes, sends on the caller's thread.
public final class XenStoreSocketTransport: XenStoreTransport {
  /// What the reading thread shares with the transport: the last of the two closes the socket.
  private final class Connection: Sendable {
    let socket: OwnedDescriptor
    init(_ socket: consuming OwnedDescriptor) { self.socket = socket }
  }

  /// Bytes read in one call: several packets.
  private static let readByteCount = 16 << 10

  private let connection: Connection
  private let isClosed = Mutex(false)

  /// Takes over a connected stream socket.
  public init(socket: consuming OwnedDescriptor) throws(Errno) {
    try socket.setNonBlocking(false)
    connection = Connection(socket)
  }

  /// Connects to the store's socket at `path`. Throws `ENOENT` or `ECONNREFUSED` when no store answers there.
  public convenience init(path: String) throws(Errno) {
    try self.init(socket: try UnixSocket.connect(to: path, kind: .stream))
  }

  deinit { UnixSocket.shutDown(connection.socket) }

  public func start(receive: @escaping @Sendable ([UInt8]) -> Void, closed: @escaping @Sendable () -> Void) {
    let connection = connection
    do throws(Errno) {
      try SystemThread.start(name: "xenstore-client") {
        while let bytes = XenStoreSocketTransport.nextBytes(on: connection) { receive(bytes) }
        closed()
      }
    } catch {
      closed()
    }
  }

  public func send(_ bytes: [UInt8]) throws(XenStoreTransportClosed) {
    // The lock keeps packets of different threads whole.
    let isSent = isClosed.withLock { isClosed in
      if isClosed { return false }
      var rest = bytes
      while !rest.isEmpty {
        do throws(Errno) {
          rest.removeFirst(try UnixSocket.send(rest, on: connection.socket))
        } catch {
          if error != .interrupted { return false }
        }
      }
      return true
    }
    if !isSent { throw XenStoreTransportClosed() }
  }

  /// Wakes the reading thread, which reports the end.
  public func close() {
    UnixSocket.shutDown(connection.socket)
    isClosed.withLock { $0 = true }
  }

  /// The next bytes, or nil at the end of the stream, however it came about.
  private static func nextBytes(on connection: Connection) -> [UInt8]? {
    while true {
      do throws(Errno) {
        let received = try UnixSocket.receive(capacity: readByteCount, on: connection.socket)
        // A store sends no descriptors: whoever does anyway must not make us keep them.
        for descriptor in received.descriptors { _ = OwnedDescriptor(owning: descriptor) }
        return received.bytes.isEmpty ? nil : received.bytes
      } catch {
        if error != .interrupted { return nil }
      }
    }
  }
}
