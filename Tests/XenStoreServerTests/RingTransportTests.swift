import LinuxSystem
import SharedMemory
import SharedRing
import Synchronization
import Testing
import XenInterface
import XenPlatform
import XenStoreClient
import XenStoreRing
import XenStoreServer
import XenStoreWire

/// The client library over a page.
@Suite(.serialized, .timeLimit(.minutes(5))) struct RingTransportTests {
  /// A client of domain 5 over a page that `daemon` serves, and the page.
  private func connect(_ daemon: StoreDaemon) async throws -> (XenStoreClient, RingGuest) {
    let control = try XenStoreClient(path: daemon.privilegedPath)
    try await control.write("/local/domain/5", "")
    try await control.setPermissions("/local/domain/5", [XenStorePermission(DomainID(rawValue: 5), .none)])
    let (_, mappings) = try ArenaFiles.make(access: .readWrite, pageCount: 1)
    let memory = mappings.memory(firstReference: GrantReference(rawValue: 256), pageCount: 1)
    let guest = try RingGuest(bytes: mappings.data)
    let channel = EventChannel(
      port: EventChannelPort(rawValue: 1), remoteDomain: .control, waitDescriptor: try guest.toGuest.duplicate(),
      signalDescriptor: try guest.toStore.duplicate(), release: {})
    let transport = try XenStoreRingTransport(
      arena: GrantArena(peer: .control, access: .readWrite, memory: memory, release: {}), page: 0, channel: channel)
    try await daemon.serve(guest)
    return (XenStoreClient(transport: transport), guest)
  }

  @Test func manyRequestsAtOnceGoThroughARingThatHoldsAFew() async throws {
    try await withDaemon { daemon in
      let (client, _) = try await connect(daemon)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<100 {
          group.addTask {
            let value = String(repeating: "\(index % 10)", count: 1000 + index)
            try await client.write("data-\(index)", value)
            #expect(try await client.read("data-\(index)") == value)
          }
        }
        try await group.waitForAll()
      }
      #expect(try await client.directory("/local/domain/5").count == 100)
    }
  }

  @Test func watchesEndWithThePage() async throws {
    try await withDaemon { daemon in
      let (client, _) = try await connect(daemon)
      var events = try await client.watch("data").makeAsyncIterator()
      #expect(await events.next()?.path == "data")
      try await XenStoreClient(path: daemon.privilegedPath).write("/local/domain/5/data/x", "1")
      #expect(await events.next()?.path == "data/x")
      try await daemon.perform { $0.release(DomainID(rawValue: 5)) }
      #expect(await events.next() == nil)
      await #expect(throws: XenStoreClientError.self) { try await client.read("data") }
    }
  }

  @Test(arguments: [true, false])
  func aReplyThatWasSentBeforeTheEndIsDelivered(byError: Bool) async throws {
    let (_, mappings) = try ArenaFiles.make(access: .readWrite, pageCount: 1)
    let memory = mappings.memory(firstReference: GrantReference(rawValue: 256), pageCount: 1)
    let guest = try RingGuest(bytes: mappings.data)
    let channel = EventChannel(
      port: EventChannelPort(rawValue: 1), remoteDomain: .control, waitDescriptor: try guest.toGuest.duplicate(),
      signalDescriptor: try guest.toStore.duplicate(), release: {})
    let transport = try XenStoreRingTransport(
      arena: GrantArena(peer: .control, access: .readWrite, memory: memory, release: {}), page: 0, channel: channel)
    // The reply and the end are there before the client's thread looks.
    var responses = guest.page.responseProducer
    let reply = XenStorePacket(.read, requestID: 1, payload: Array("value".utf8)).encoded
    #expect(try responses.put(reply) == reply.count)
    if byError { guest.page.error = XenStoreRingError.communication.rawValue } else { channel.peerDidClose() }
    let received: [UInt8] = await withCheckedContinuation { continuation in
      let bytes = Mutex<[UInt8]>([])
      transport.start(receive: { more in bytes.withLock { $0 += more } }, closed: { continuation.resume(returning: bytes.withLock { $0 }) })
    }
    #expect(received == reply)
    #expect(throws: XenStoreTransportClosed.self) { try transport.send([1]) }
  }

  @Test func aStoreThatIgnoresThePageEndsTheClient() async throws {
    try await withDaemon { daemon in
      let (client, guest) = try await connect(daemon)
      try await client.write("data", "1")
      var events = try await client.watch("data").makeAsyncIterator()
      #expect(await events.next()?.path == "data")
      guest.page.error = XenStoreRingError.ringIndex.rawValue
      EventDescriptor.signal(guest.toGuest)
      // What comes later is answered with an error, never with silence.
      #expect(await events.next() == nil)
      await #expect(throws: XenStoreClientError.self) { try await client.read("data") }
    }
  }
}
