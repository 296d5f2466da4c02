import Broker
import LinuxSystem
import ProcessPlatform
import SharedMemory
import Testing
import XenInterface
import XenPlatform

/// What the broker does for a store in its own process: pages and channels of domain 0 without a socket.
@Suite(.serialized, .timeLimit(.minutes(5))) struct OfferedPageTests {
  /// What the daemon was offered, and what it holds of it.
  private final class Daemon: @unchecked Sendable {
    // SAFETY of @unchecked: touched on the loop's thread only, through `ProcessFixture.onServer`.
    var offers: [String] = []
    var mapping: GrantMapping?
    var channel: EventChannel?

    /// Takes every page that is offered, as the store does.
    func takePages(_ server: BrokerServer) {
      server.onStoreOffered = { [unowned server] domain, reference, port throws(PlatformError) in
        self.offers.append("\(domain) \(reference) \(port)")
        let grants = try server.ownForeignGrants(of: domain)
        do throws(GrantError) {
          self.mapping = try grants.mapContiguously([reference])
        } catch {
          if case .platform(let error) = error { throw error }
          throw .refused(operation: "mapping", reason: "\(error)")
        }
        self.channel = try server.bindOwnChannel(remote: domain, port: port)
      }
    }

    /// Writes the first word of the page, and returns what it was.
    func exchange(_ word: UInt32) -> UInt32? {
      guard let bytes = mapping?.bytes else { return nil }
      defer { bytes.store32(word, at: 0) }
      return bytes.load32(at: 0)
    }

    func letGo() {
      mapping = nil
      channel = nil
    }
  }

  private func withBroker(_ body: (ProcessFixture, Daemon, any XenPlatform) throws -> Void) throws {
    let fixture = try ProcessFixture()
    defer { fixture.tearDown() }
    let daemon = Daemon()
    try fixture.onServer { daemon.takePages($0) }
    try body(fixture, daemon, try fixture.platform(for: .front))
    try fixture.onServer { _ in daemon.letGo() }
    #expect(eventually { fixture.leaks() == "" })
  }

  private func offer(_ reference: GrantReference, _ port: EventChannelPort, on platform: any XenPlatform) throws {
    try #require(platform as? ProcessPlatform).connectStore(page: reference, port: port)
  }

  @Test func theDaemonMapsThePageAndIsSignalledOverTheChannel() throws {
    try withBroker { fixture, daemon, front in
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 2)
      arena.bytes.store32(4711, at: 4096)
      let channel = try front.allocateUnboundChannel(for: .control)
      let reference = arena.grant(page: 1)
      try offer(reference, channel.port, on: front)
      #expect(try fixture.onServer { _ in daemon.offers } == ["1 \(reference) \(channel.port)"])
      let seen = try fixture.onServer { _ in daemon.exchange(42) }
      #expect(seen == 4711 && arena.bytes.load32(at: 4096) == 42)
      try fixture.onServer { _ in daemon.channel.map { EventDescriptor.signal($0.signalDescriptor) } }
      #expect(takesEvent(channel))
    }
  }

  @Test func whenTheDaemonLetsGoTheProcessIsTold() throws {
    try withBroker { fixture, daemon, front in
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      let channel = try front.allocateUnboundChannel(for: .control)
      try offer(arena.grant(page: 0), channel.port, on: front)
      let closings = Counter()
      channel.onPeerClosed { closings.add() }
      #expect(closings.value == 0)
      try fixture.onServer { _ in daemon.letGo() }
      #expect(eventually { closings.value == 1 })
      #expect(arena.endAccess(page: 0))
    }
  }

  @Test(arguments: [false, true]) func whenTheProcessOrItsDomainEndsTheDaemonIsTold(destroysDomain: Bool) throws {
    try withBroker { fixture, daemon, front in
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      let channel = try front.allocateUnboundChannel(for: .control)
      try offer(arena.grant(page: 0), channel.port, on: front)
      let closings = Counter()
      try fixture.onServer { _ in daemon.channel?.onPeerClosed { closings.add() } }
      if destroysDomain { try fixture.destroy(.front) } else { fixture.kill(front) }
      #expect(eventually { closings.value == 1 })
      // The daemon's end is there until it lets go, as any other.
      #expect(try fixture.onServer { $0.usage.eventChannels } == 1)
    }
  }

  @Test func aPageOfALargeArenaIsRefusedBecauseTheDaemonWouldMapAllOfIt() throws {
    try withBroker { fixture, daemon, front in
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: BrokerServer.ownArenaPageLimit + 1)
      let channel = try front.allocateUnboundChannel(for: .control)
      #expect(throws: PlatformError.self) { try offer(arena.grant(page: 0), channel.port, on: front) }
      #expect(try fixture.onServer { _ in daemon.mapping == nil })
    }
  }

  @Test func whatIsNotTheDaemonsIsRefused() throws {
    try withBroker { fixture, _, front in
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 2)
      let channel = try front.allocateUnboundChannel(for: .control)
      let reference = arena.grant(page: 0)
      let other = try fixture.platform(for: .other)
      let elsewhere = try front.makeGrantArena(for: .other, access: .readWrite, pageCount: 1)
      let readOnly = try front.makeGrantArena(for: .control, access: .readOnly, pageCount: 1)
      let toOther = try front.allocateUnboundChannel(for: .other)
      // Not granted, granted to somebody else, granted for reading, somebody else's page, and the same for ports.
      for (page, port, platform) in [
        (arena.reference(ofPage: 1), channel.port, front), (elsewhere.grant(page: 0), channel.port, front),
        (readOnly.grant(page: 0), channel.port, front), (reference, channel.port, other), (reference, toOther.port, front),
        (reference, EventChannelPort(rawValue: 999), front),
      ] {
        #expect(throws: PlatformError.self, "page \(page), port \(port) of domain \(platform.domain)") { try offer(page, port, on: platform) }
      }
      try offer(reference, channel.port, on: front)
      // A port is bound once.
      #expect(throws: PlatformError.self) { try offer(reference, channel.port, on: front) }
    }
  }

  @Test func theStoresReasonForARefusalReachesTheProcess() throws {
    try withBroker { fixture, _, front in
      let refusal = PlatformError.refused(operation: "connection of a store page", reason: "the moon is full")
      try fixture.onServer { $0.onStoreOffered = { _, _, _ throws(PlatformError) in throw refusal } }
      #expect(throws: refusal) { try offer(GrantReference(rawValue: 300), EventChannelPort(rawValue: 7), on: front) }
      try fixture.onServer { $0.onStoreOffered = nil }
      #expect(throws: PlatformError.self) { try offer(GrantReference(rawValue: 300), EventChannelPort(rawValue: 7), on: front) }
    }
  }
}
