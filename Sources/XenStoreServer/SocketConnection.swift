import EventLoop
import LinuxSystem
import SharedMemory
import SystemPackage
import XenStoreCore
import XenStoreMigration

/// One client's socket and the few packets that are on their way into it.
final class SocketConnection: StoreLink {
  /// Output is taken from the core only up to here: what stays there can still absorb identical events.
  private static let unsentByteCount = 16 << 10

  private static let input: PollEvents = [.readable, .readHangUp]

  let socket: OwnedDescriptor
  private let refusesDescriptors: Bool
  /// Whether one call takes all that is there, if there is room: else only a call that finds nothing tells. The first time it is the latter:
  /// descriptors may have been sent before they were refused.
  private var isEmptiedAtOnce = false
  /// The listening socket it came through; empty when it came through none.
  let listenerPath: String
  private unowned let server: XenStoreServer
  private var watch: DescriptorWatch?
  private var wantsToRead = true
  /// The peer has ended its direction of the stream, of which something may be left: no further event says so.
  private var isEnding = false
  /// It has ended both, and reads no answer: what it sent is taken although it left others unread.
  private var isGone = false
  /// Packets taken from the core, of which the socket has taken the first ``sentCount`` bytes.
  private let unsent: FixedCell<[UInt8]>
  private var sentCount = 0

  /// `unsent` goes before anything that the core gives out: what an earlier daemon did not get rid of.
  init(
    socket: consuming OwnedDescriptor, id: XenStoreConnectionID, listenerPath: String, server: XenStoreServer, unsent: [UInt8] = []
  ) {
    refusesDescriptors = UnixSocket.refuseDescriptors(on: socket)
    self.socket = socket
    self.listenerPath = listenerPath
    self.server = server
    self.unsent = FixedCell(unsent)
    super.init(id: id)
    watch = server.loop.watchDescriptor(self.socket.rawValue, for: SocketConnection.input, trigger: .edge) { [unowned self] in ready($0) }
  }

  private var hasUnsentBytes: Bool { sentCount < unsent.value.count }

  override func deliver(from core: XenStoreCore) -> Delivery {
    while true {
      let isEverything = refill(from: core)
      guard hasUnsentBytes else { return .all }
      do throws(Errno) {
        sentCount += try UnixSocket.send(unsent.value, from: sentCount, on: socket)
        if isEverything, !hasUnsentBytes { return .all }
      } catch {
        if error == .interrupted { continue }
        return error == .wouldBlock ? .blocked : .failed
      }
    }
  }

  override func update(isHeldBack: Bool) {
    let wantedToRead = wantsToRead
    wantsToRead = !hasUnsentBytes && !isHeldBack
    // What came meanwhile has had its event.
    if wantsToRead, !wantedToRead { scheduleReading(on: server.loop) }
    watch?.update(hasUnsentBytes ? [SocketConnection.input, .writable] : SocketConnection.input)
  }

  override var migrated: XenStoreMigratedLink? {
    XenStoreMigratedLink(kind: .socket(descriptor: socket.rawValue), unsentBytes: Array(unsent.value[sentCount...]), listenerPath: listenerPath)
  }

  /// Ends the stream now: the loop may keep the descriptor's file a little longer than this object does.
  override func close() {
    watch?.cancel()
    watch = nil
    UnixSocket.shutDown(socket)
  }

  /// Takes more from the core, behind what is unsent. Whether that is everything there is.
  private func refill(from core: XenStoreCore) -> Bool {
    if !hasUnsentBytes {
      // What one burst needed is not kept for ever.
      unsent.value.removeAll(keepingCapacity: sentCount <= 1024)
    } else if sentCount > 0 {
      unsent.value.removeFirst(sentCount)
    }
    sentCount = 0
    core.takeOutput(for: id, into: &unsent.value, limit: SocketConnection.unsentByteCount)
    return unsent.value.count < SocketConnection.unsentByteCount
  }

  private func ready(_ events: PollEvents) {
    if events.contains(.writable) { server.resume(self) }
    if !events.isDisjoint(with: [.hangUp, .error]) { isGone = true }
    if isGone || events.contains(.readHangUp) { isEnding = true }
    read()
  }

  /// Takes what the peer has sent, as far as the input buffer holds it; the rest comes in the next turn.
  override func read() {
    guard watch != nil, wantsToRead || isGone else { return }
    do throws(Errno) {
      let count = try UnixSocket.receive(into: &server.inputBuffer.value, on: socket)
      guard count > 0 else { return server.ended(self) }
      server.received(count, from: self)
      if isEnding || !isEmptiedAtOnce || count == XenStoreServer.inputByteCount { scheduleReading(on: server.loop) }
    } catch {
      if error == .interrupted { return scheduleReading(on: server.loop) }
      isEmptiedAtOnce = refusesDescriptors
      if error != .wouldBlock || isEnding { server.ended(self) }
    }
  }
}
