import LinuxSystem
import SharedMemory
import Testing
import XenInterface
import XenPlatform
import XenStoreCore
import XenStoreRing
import XenStoreServer
import XenStoreWire

/// A guest that signals as seldom as Linux does (drivers/xen/xenbus/xenbus_comms.c): bytes that it adds to others that were not taken
/// yet come without a signal, and so does room in a ring that was not full.
private struct SparingGuest {
  private let bytes: SharedBytes
  private let toStore: SharedDescriptor
  private let toGuest: SharedDescriptor
  private var requestProducer: UInt32 = 0
  private var responseConsumer: UInt32 = 0
  private(set) var signalCount = 0

  init() throws {
    bytes = try SharedRegion(anonymousByteCount: 4096).bytes
    toStore = SharedDescriptor(try EventDescriptor.create(nonBlocking: false))
    toGuest = SharedDescriptor(try EventDescriptor.create(nonBlocking: false))
  }

  /// The store's side, as a platform would make it.
  func storeRing(of domain: DomainID) throws -> StoreRing {
    let channel = EventChannel(
      port: EventChannelPort(rawValue: 1), remoteDomain: domain, waitDescriptor: try toStore.descriptor.duplicate(),
      signalDescriptor: try toGuest.descriptor.duplicate(), release: {})
    return StoreRing(page: GrantMapping(bytes: bytes, pages: [], grants: ForeignGrants(granter: domain)), channel: channel)
  }

  mutating func put(_ source: [UInt8], from offset: Int) -> Int {
    let before = requestProducer
    let room = Int(1024 - (before &- bytes.loadAcquire32(at: XenStoreInterfaceLayout.requestConsumerOffset)))
    let count = min(room, source.count - offset)
    guard count > 0 else { return 0 }
    for index in 0..<count { bytes.store8(source[offset + index], at: Int((before &+ UInt32(index)) % 1024)) }
    requestProducer &+= UInt32(count)
    bytes.storeAndFence32(requestProducer, at: XenStoreInterfaceLayout.requestProducerOffset)
    if bytes.load32(at: XenStoreInterfaceLayout.requestConsumerOffset) == before { signal() }
    return count
  }

  mutating func take() -> [UInt8] {
    let before = responseConsumer
    let available = bytes.loadAcquire32(at: XenStoreInterfaceLayout.responseProducerOffset) &- before
    guard available > 0 else { return [] }
    let taken = (0..<available).map { bytes.load8(at: XenStoreInterfaceLayout.responseOffset + Int((before &+ $0) % 1024)) }
    responseConsumer &+= available
    bytes.storeAndFence32(responseConsumer, at: XenStoreInterfaceLayout.responseConsumerOffset)
    if bytes.load32(at: XenStoreInterfaceLayout.responseProducerOffset) &- before >= 1024 { signal() }
    return taken
  }

  private mutating func signal() {
    signalCount += 1
    EventDescriptor.signal(toStore.descriptor)
  }

  /// Waits until the store has signalled.
  func wait() { EventDescriptor.drain(toGuest.descriptor) }
}

/// A wake-up that is lost leaves both sides waiting for each other: the time limit turns that into a failure. The moment in which one
/// can be lost is short, so that a run may miss it.
@Suite(.timeLimit(.minutes(5))) struct SparingGuestTests {
  private static let requestCount = 20_000

  @Test(arguments: [0, 3000] as [Int])
  func aGuestThatSignalsAsSeldomAsLinuxIsServedToTheEnd(valueByteCount: Int) async throws {
    let domain = DomainID(rawValue: 5)
    try await withDaemon { daemon in
      var guest = try SparingGuest()
      let opened = guest
      try await daemon.perform { server in
        server.serveRings { domain, _ throws(PlatformError) in
          do { return try opened.storeRing(of: domain) } catch { throw .refused(operation: "mapping", reason: "\(error)") }
        }
        server.introduce(domain)
        let owner = server.core.connect(domain: .control, privileged: true)
        let value = [UInt8](repeating: 7, count: valueByteCount)
        server.core.handle(XenStorePacket(.write, payload: XenStorePayload.join(["/v"]) + value), from: owner)
        server.core.handle(XenStorePacket(.setPermissions, strings: ["/v", "n0", "r5"]), from: owner)
        server.core.disconnect(owner)
        try server.connect(
          ring: XenStoreRingAddress(reference: GrantReference(rawValue: 256), port: EventChannelPort(rawValue: 1)), of: domain)
      }

      let requestCount = valueByteCount == 0 ? Self.requestCount : Self.requestCount / 20
      var parser = XenStorePacketParser()
      var next: UInt32 = 0
      var answered: UInt32 = 0
      var packet: [UInt8] = []
      var sent = 0
      while answered < requestCount {
        var hasMoved = false
        if sent == packet.count, next < requestCount {
          next += 1
          packet = XenStorePacket(.read, requestID: next, strings: ["/v"]).encoded
          sent = 0
        }
        if sent < packet.count {
          let count = guest.put(packet, from: sent)
          sent += count
          hasMoved = count > 0
        }
        let taken = guest.take()
        if !taken.isEmpty {
          hasMoved = true
          parser.feed(taken)
          while case .packet(let reply) = parser.next() {
            answered += 1
            try #require(reply.type == .read && reply.requestID == answered && reply.payload.count == valueByteCount)
          }
        }
        if !hasMoved { guest.wait() }
      }
      // Otherwise it was no test of this. Replies that are longer than the ring fill it, and need a signal each time.
      if valueByteCount == 0 { #expect(guest.signalCount < requestCount) }
    }
  }
}
