import LinuxSystem
public import SystemPackage
import SharedMemory
import SharedRing
import Synchronization
import XenInterface
public import XenPlatform
import XenStoreRing

/// A transport over a page of memory that the store has mapped (`struct xenstore_domain_interface`): one thread that waits for the
/// store's events, sends on the caller's thread as far as the ring has room, and on its own for the rest.
///
/// What waits to be sent is kept in memory: as much as the callers have requests under way. The stream ends when either end closes the
/// channel, and when the store says in the page that it ignores us; it cannot be resumed.
///
/// The store is trusted not to block us: it could fill or drain the channel's counters, as it could simply not answer.
public final class XenStoreRingTransport: XenStoreTransport {
  private let connection: Connection

  /// Speaks over page `page` of `arena`, which must be granted to the store's domain and hold zeros, and over `channel`, which is
  /// unbound as yet or bound by the store. Both are kept until the transport and its thread are gone, and belong to nobody else.
  public init(arena: sending GrantArena, page: Int, channel: EventChannel) throws(Errno) {
    connection = try Connection(arena: arena, page: page, channel: channel)
    channel.onPeerClosed { [weak connection] in connection?.close() }
  }

  deinit { connection.close() }

  public func start(receive: @escaping @Sendable ([UInt8]) -> Void, closed: @escaping @Sendable () -> Void) {
    let connection = connection
    do throws(Errno) {
      try SystemThread.start(name: "xenstore-ring") {
        connection.run(receive)
        closed()
      }
    } catch {
      closed()
    }
  }

  public func send(_ bytes: [UInt8]) throws(XenStoreTransportClosed) {
    guard connection.send(bytes) else { throw XenStoreTransportClosed() }
  }

  /// Wakes the thread, which reports the end.
  public func close() { connection.close() }

  /// What the thread shares with the transport: the last of the two gives page and channel back.
  private final class Connection: Sendable {
    private struct Requests {
      let arena: GrantArena
      var ring: ByteStreamProducer
      /// What the ring had no room for, from ``sentCount`` on.
      var waiting: [UInt8] = []
      var sentCount = 0
      var isClosed = false
    }

    private let page: XenStoreRingPage
    private let channel: EventChannel
    /// Private to this process, so that signalling it cannot block.
    private let wake: OwnedDescriptor
    private let requests: Mutex<Requests>

    init(arena: sending GrantArena, page: Int, channel: EventChannel) throws(Errno) {
      let bytes = arena.bytes.slice(at: page * XenStoreRingPage.byteCount, byteCount: XenStoreRingPage.byteCount)
      self.page = XenStoreRingPage(bytes)
      self.channel = channel
      wake = try EventDescriptor.create()
      requests = Mutex(Requests(arena: arena, ring: self.page.requestProducer))
    }

    func send(_ bytes: [UInt8]) -> Bool {
      let (isTaken, hasMoved) = requests.withLock { requests in
        guard !requests.isClosed else { return (false, false) }
        requests.waiting.append(contentsOf: bytes)
        let hasMoved = Connection.flush(&requests)
        return (!requests.isClosed, hasMoved)
      }
      if hasMoved { EventDescriptor.signal(channel.signalDescriptor) }
      if !isTaken { EventDescriptor.signal(wake) }
      return isTaken
    }

    func close() {
      requests.withLock { $0.isClosed = true }
      EventDescriptor.signal(wake)
    }

    /// The thread: until the stream ends.
    func run(_ receive: ([UInt8]) -> Void) {
      var responses = page.responseConsumer
      var buffer = [UInt8](repeating: 0, count: XenStoreLimits.ringByteCount)
      while true {
        let (isClosed, hasSent) = requests.withLock { requests in
          let hasSent = Connection.flush(&requests)
          return (requests.isClosed, hasSent)
        }
        guard !isClosed, page.error == XenStoreRingError.none.rawValue else { break }
        let count: Int
        do throws(ByteStreamFault) { count = try responses.take(into: &buffer, limit: buffer.count) } catch { break }
        // The store goes on when an index has moved, and not before it is told.
        if hasSent || count > 0 { EventDescriptor.signal(channel.signalDescriptor) }
        if count > 0 {
          receive(Array(buffer[..<count]))
          continue
        }
        EventDescriptor.wait(for: channel.waitDescriptor, or: wake)
        // Somebody has to have counted, else this waits.
        if EventDescriptor.isReadable(channel.waitDescriptor) { EventDescriptor.drain(channel.waitDescriptor) }
        EventDescriptor.drain(wake)
      }
      close()
      // What the store had sent before it ended the stream is delivered: at most as much as the ring holds.
      do throws(ByteStreamFault) {
        let count = try responses.take(into: &buffer, limit: buffer.count)
        if count > 0 { receive(Array(buffer[..<count])) }
      } catch {}
    }

    /// Puts into the ring what it has room for. Whether anything was.
    private static func flush(_ requests: inout Requests) -> Bool {
      guard !requests.isClosed, requests.sentCount < requests.waiting.count else { return false }
      do throws(ByteStreamFault) {
        let count = try requests.ring.put(requests.waiting, from: requests.sentCount)
        requests.sentCount += count
        if requests.sentCount == requests.waiting.count {
          requests.waiting.removeAll(keepingCapacity: true)
          requests.sentCount = 0
        } else if requests.sentCount >= requests.waiting.count / 2 {
          requests.waiting.removeFirst(requests.sentCount)
          requests.sentCount = 0
        }
        return count > 0
      } catch {
        requests.isClosed = true
        return false
      }
    }
  }
}
