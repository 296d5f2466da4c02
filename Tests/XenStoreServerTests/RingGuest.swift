import LinuxSystem
import SharedMemory
import SharedRing
import Synchronization
import XenInterface
import XenPlatform
import XenStoreCore
import XenStoreRing
import XenStoreServer
import XenStoreWire

/// What a domain would have granted: a page of this process and a channel's two counters.
final class RingGuest: Sendable {
  let bytes: SharedBytes
  let toStore: OwnedDescriptor
  let toGuest: OwnedDescriptor
  let domain: DomainID
  /// How often the store has closed a channel to this guest.
  let releaseCount = Atomic<Int>(0)
  private struct StoreEnd { weak var channel: EventChannel? }
  private let storeEnd = Mutex(StoreEnd())

  /// All four indices begin at `start`. Without `bytes`, a page of its own.
  init(domain: DomainID = DomainID(rawValue: 5), start: UInt32 = 0, bytes: SharedBytes? = nil) throws {
    self.domain = domain
    self.bytes = try bytes ?? SharedRegion(anonymousByteCount: XenStoreRingPage.byteCount).bytes
    toStore = try EventDescriptor.create(nonBlocking: false)
    toGuest = try EventDescriptor.create(nonBlocking: false)
    let bytes = self.bytes
    for offset in [
      XenStoreInterfaceLayout.requestConsumerOffset, XenStoreInterfaceLayout.requestProducerOffset,
      XenStoreInterfaceLayout.responseConsumerOffset, XenStoreInterfaceLayout.responseProducerOffset,
    ] { bytes.store32(start, at: offset) }
  }

  var page: XenStoreRingPage { XenStoreRingPage(bytes) }

  /// The store's side, as a platform would make it.
  func storeRing() throws(PlatformError) -> StoreRing {
    do {
      let channel = EventChannel(
        port: EventChannelPort(rawValue: 1), remoteDomain: domain, waitDescriptor: try toStore.duplicate(),
        signalDescriptor: try toGuest.duplicate(), release: { [self] in releaseCount.add(1, ordering: .sequentiallyConsistent) })
      storeEnd.withLock { $0.channel = channel }
      return StoreRing(page: GrantMapping(bytes: bytes, pages: [], grants: ForeignGrants(granter: domain)), channel: channel)
    } catch {
      throw .system(operation: "duplicate", error)
    }
  }

  /// The guest's process ends.
  func closePort() {
    storeEnd.withLock { $0.channel }?.peerDidClose()
  }

  func signal() { EventDescriptor.signal(toStore) }

  /// Waits until the store has signalled.
  func wait() { EventDescriptor.drain(toGuest) }

  /// Writes one of the page's words and tells the store.
  func write(_ value: UInt32, at offset: Int) {
    bytes.store32(value, at: offset)
    signal()
  }
}

/// A client that says what it likes over a page.
struct RawRingClient {
  let guest: RingGuest
  private var requests: ByteStreamProducer
  private var responses: ByteStreamConsumer
  private var parser = XenStorePacketParser()
  private var buffer = [UInt8](repeating: 0, count: 1024)

  init(_ guest: RingGuest) {
    self.guest = guest
    requests = guest.page.requestProducer
    responses = guest.page.responseConsumer
  }

  /// Puts all of it into the ring, as the store makes room.
  mutating func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = try requests.put(bytes, from: sent)
      sent += count
      if count > 0 { guest.signal() } else { guest.wait() }
    }
  }

  mutating func send(_ packet: XenStorePacket) throws { try send(packet.encoded) }

  /// The next packet, however long the store takes.
  mutating func next() throws -> XenStorePacket {
    while true {
      if case .packet(let packet) = parser.next() { return packet }
      let count = try responses.take(into: &buffer, limit: buffer.count)
      if count > 0 {
        guest.signal()
        parser.feed(buffer[..<count])
      } else {
        guest.wait()
      }
    }
  }

  mutating func ask(_ type: XenStoreMessageType, _ strings: String...) throws -> XenStorePacket {
    try send(XenStorePacket(type, requestID: 1, strings: strings))
    return try next()
  }

  /// Asks the store to begin again, and waits until it has.
  mutating func reconnect() {
    guest.write(XenStoreConnectionState.reconnect.rawValue, at: XenStoreInterfaceLayout.connectionOffset)
    while guest.page.connection == .reconnect { guest.wait() }
    requests = guest.page.requestProducer
    responses = guest.page.responseConsumer
    parser = XenStorePacketParser()
  }

  /// Waits until the store ignores us, and returns why.
  func waitForError() -> UInt32 {
    while guest.page.error == 0 { guest.wait() }
    return guest.page.error
  }
}

extension StoreDaemon {
  /// Serves the guests' pages: the first is at reference 256, the second at 257, and so on.
  func serve(_ guests: RingGuest...) async throws {
    try await perform { server in
      server.serveRings { domain, address throws(PlatformError) in
        let index = Int(address.reference.rawValue) - 256
        guard guests.indices.contains(index), guests[index].domain == domain else {
          throw .refused(operation: "mapping", reason: "nothing is granted there")
        }
        return try guests[index].storeRing()
      }
      for (index, guest) in guests.enumerated() {
        server.introduce(guest.domain)
        try server.connect(ring: RingGuest.address(index), of: guest.domain)
      }
    }
  }

  /// Runs `body` and waits until the loop has been through a few turns after it.
  func settle() async throws { for _ in 0..<3 { try await perform { _ in } } }
}

extension RingGuest {
  static func address(_ index: Int) -> XenStoreRingAddress {
    XenStoreRingAddress(reference: GrantReference(rawValue: UInt32(256 + index)), port: EventChannelPort(rawValue: 1))
  }
}
