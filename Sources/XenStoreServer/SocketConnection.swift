import EventLoop
import LinuxSystem
import SystemPackage
import XenStoreCore

/// One client's socket and the few packets that are on their way into it.
final class SocketConnection {
  enum ReadOutcome {
    case bytes([UInt8])
    case nothing
    case ended
  }

  enum SendOutcome {
    case all
    case wouldBlock
    case failed
  }

  /// Bytes taken from the socket in one turn, so that a busy client does not keep the loop from the others.
  private static let readByteCount = 16 << 10
  /// Output is taken from the core only up to here: what stays there can still absorb identical events.
  private static let unsentByteCount = 16 << 10

  let socket: OwnedDescriptor
  let id: XenStoreConnectionID
  /// The listening socket it came through; empty when it came through none.
  let listenerPath: String
  var watch: DescriptorWatch?
  var wantsToRead = true
  private var unsent: [UInt8] = []

  init(socket: consuming OwnedDescriptor, id: XenStoreConnectionID, listenerPath: String) {
    self.socket = socket
    self.id = id
    self.listenerPath = listenerPath
  }

  var hasUnsentBytes: Bool { !unsent.isEmpty }

  /// Adds packets while there is room.
  func refill(_ next: () -> [UInt8]?) {
    while unsent.count < SocketConnection.unsentByteCount, let packet = next() { unsent.append(contentsOf: packet) }
  }

  func send() -> SendOutcome {
    while !unsent.isEmpty {
      do throws(Errno) {
        unsent.removeFirst(try UnixSocket.send(unsent, on: socket, nonBlocking: true))
      } catch {
        if error == .interrupted { continue }
        return error == .wouldBlock ? .wouldBlock : .failed
      }
    }
    return .all
  }

  func read() -> ReadOutcome {
    do throws(Errno) {
      let received = try UnixSocket.receive(capacity: SocketConnection.readByteCount, on: socket, nonBlocking: true)
      // Nobody sends descriptors to a store: whoever does anyway must not make it keep them.
      for descriptor in received.descriptors { _ = OwnedDescriptor(owning: descriptor) }
      return received.bytes.isEmpty ? .ended : .bytes(received.bytes)
    } catch {
      return error == .wouldBlock || error == .interrupted ? .nothing : .ended
    }
  }

  /// Ends the stream now: the loop may keep the descriptor's file a little longer than this object does.
  func close() {
    watch?.cancel()
    watch = nil
    UnixSocket.shutDown(socket)
  }
}
