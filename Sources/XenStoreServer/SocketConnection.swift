import EventLoop
import LinuxSystem
import SystemPackage
import XenStoreCore
import XenStoreMigration

/// One client's socket and the few packets that are on their way into it.
final class SocketConnection: StoreLink {
  /// Output is taken from the core only up to here: what stays there can still absorb identical events.
  private static let unsentByteCount = 16 << 10

  let socket: OwnedDescriptor
  /// The listening socket it came through; empty when it came through none.
  let listenerPath: String
  private unowned let server: XenStoreServer
  private var watch: DescriptorWatch?
  private var wantsToRead = true
  /// Packets taken from the core, of which the socket has taken the first ``sentCount`` bytes.
  private var unsent: [UInt8] = []
  private var sentCount = 0

  /// `unsent` goes before anything that the core gives out: what an earlier daemon did not get rid of.
  init(
    socket: consuming OwnedDescriptor, id: XenStoreConnectionID, listenerPath: String, server: XenStoreServer, unsent: [UInt8] = []
  ) {
    self.socket = socket
    self.listenerPath = listenerPath
    self.server = server
    self.unsent = unsent
    super.init(id: id)
    watch = server.loop.watchDescriptor(self.socket.rawValue, for: .readable) { [unowned self] in ready($0) }
  }

  private var hasUnsentBytes: Bool { sentCount < unsent.count }

  override func deliver(from core: XenStoreCore) -> Delivery {
    while true {
      refill(from: core)
      guard hasUnsentBytes else { return .all }
      do throws(Errno) {
        sentCount += try UnixSocket.send(unsent, from: sentCount, on: socket)
      } catch {
        if error == .interrupted { continue }
        return error == .wouldBlock ? .blocked : .failed
      }
    }
  }

  override func update(isHeldBack: Bool) {
    wantsToRead = !hasUnsentBytes && !isHeldBack
    var events: PollEvents = []
    if wantsToRead { events.insert(.readable) }
    if hasUnsentBytes { events.insert(.writable) }
    watch?.update(events)
  }

  override var migrated: XenStoreMigratedLink? {
    XenStoreMigratedLink(kind: .socket(descriptor: socket.rawValue), unsentBytes: Array(unsent[sentCount...]), listenerPath: listenerPath)
  }

  /// Ends the stream now: the loop may keep the descriptor's file a little longer than this object does.
  override func close() {
    watch?.cancel()
    watch = nil
    UnixSocket.shutDown(socket)
  }

  private func refill(from core: XenStoreCore) {
    if !hasUnsentBytes {
      // Most of the time one packet is all there is: it is sent from where it lies.
      unsent = core.nextOutput(for: id) ?? []
      sentCount = 0
      if unsent.isEmpty { return }
    }
    while unsent.count - sentCount < SocketConnection.unsentByteCount, let packet = core.nextOutput(for: id) {
      if sentCount > 0 {
        unsent.removeFirst(sentCount)
        sentCount = 0
      }
      unsent.append(contentsOf: packet)
    }
  }

  private func ready(_ events: PollEvents) {
    if events.contains(.writable) { server.resume(self) }
    guard watch != nil, wantsToRead || events.contains(.hangUp) || events.contains(.error) else { return }
    do throws(Errno) {
      let count = try UnixSocket.receive(into: &server.inputBuffer, on: socket)
      guard count > 0 else { return server.ended(self) }
      server.received(count, from: self)
    } catch {
      if error != .wouldBlock && error != .interrupted || events.contains(.error) { server.ended(self) }
    }
  }
}
