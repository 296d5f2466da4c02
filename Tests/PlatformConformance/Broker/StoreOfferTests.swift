import Broker
import ProcessPlatform
import SharedMemory
import Synchronization
import Testing
import XenInterface
import XenPlatform

/// A process offers a page to the store, which lives in the daemon and must not go through its socket.
@Suite(.serialized) struct StoreOfferTests {
  /// What the daemon holds of an offer; touched on its thread only.
  private final class Held: @unchecked Sendable {
    var page: MappedPage?
    var grants: ForeignGrants?
    var channel: EventChannel?
  }

  private func withFront(_ body: (ProcessFixture, ProcessPlatform) throws -> Void) throws {
    let fixture = try ProcessFixture()
    defer { fixture.tearDown() }
    try fixture.createDomain(.front)
    try body(fixture, try ProcessPlatform.connect(socketPath: fixture.socketPath(of: .front)))
  }

  @Test func anOfferIsMappedAndBoundWithoutASocketAndGivenBack() throws {
    try withFront { fixture, front in
      let held = Held()
      let closings = Counter()
      try fixture.perform { server in
        server.onStoreOffered = { domain, reference, port throws(PlatformError) in
          let grants = try server.ownForeignGrants(of: domain)
          do throws(GrantError) {
            held.page = try grants.map(reference, writable: true)
          } catch {
            throw .refused(operation: "mapping", reason: "\(error)")
          }
          held.grants = grants
          let channel = try server.bindOwnChannel(remote: domain, port: port)
          channel.onPeerClosed { closings.add() }
          held.channel = channel
        }
      }
      var channel: EventChannel? = try front.allocateUnboundChannel(for: .control)
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      arena.bytes.store32(4711, at: 2048)
      let port = try #require(channel?.port)
      try front.connectStore(page: arena.grant(page: 0), port: port)
      #expect(try fixture.perform { _ in held.grants!.bytes(of: held.page!).load32(at: 2048) } == 4711)
      #expect(fixture.usage.eventChannels == 2)

      // The guest closes its end: the daemon is told as a process would be, and its own end closes when it lets go.
      channel = nil
      #expect(eventually { closings.value == 1 })
      try fixture.perform { _ in
        held.channel = nil
        held.grants!.unmap(held.page!)
        held.grants = nil
      }
      #expect(eventually { fixture.usage.eventChannels == 0 })
      #expect(arena.endAccess(page: 0), "nothing is mapped any more")
    }
  }

  @Test func theStoresRefusalIsTheAnswer() throws {
    try withFront { fixture, front in
      let port = EventChannelPort(rawValue: 3)
      #expect(throws: PlatformError.refused(operation: "connection of a store page", reason: "this daemon has no store")) {
        try front.connectStore(page: GrantReference(rawValue: 256), port: port)
      }
      try fixture.perform { server in
        server.onStoreOffered = { domain, _, _ throws(PlatformError) in
          throw .quotaExceeded(quota: "store-pages", domain: domain, limit: 16)
        }
      }
      #expect(throws: PlatformError.quotaExceeded(quota: "store-pages", domain: .front, limit: 16)) {
        try front.connectStore(page: GrantReference(rawValue: 256), port: port)
      }
    }
  }

  @Test func theDaemonMapsNoLargeArenas() throws {
    try withFront { fixture, front in
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: BrokerServer.ownArenaPageLimit + 1)
      let reference = arena.grant(page: 0)
      try fixture.perform { server in
        let grants = try server.ownForeignGrants(of: .front)
        #expect(throws: GrantError.self) { _ = try grants.map(reference, writable: true) }
        #expect(grants.mappedPageCount == 0)
      }
    }
  }
}
