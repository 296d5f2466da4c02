import EventLoop
@testable import NetFront
import NetInterface
import NetPackets
import PVDriver
import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform
import Xenbus

/// The store half: what it asks for, when it sends, what it says of the link, and what it gives back.
@Suite struct FrontDriverTests {
  /// A driver on a loop of its own, and a back-end's directory by hand.
  private final class Fixture: Sendable {
    static let guest = DomainID(rawValue: 7)
    let hypervisor = SimulatedHypervisor(seed: 3)
    let back: SimulatedPlatform
    let thread: EventLoopThread
    let frontend: NetFrontend
    let driver: NetFrontendDriver
    let address = MACAddress("00:16:3e:00:00:07")

    init(queueCount: Int = 1, split: Bool = true, keepsGrants: Bool = true) throws {
      back = hypervisor.platform(for: .control)
      thread = try EventLoopThread.start(name: "front")
      var configuration = NetFrontConfiguration()
      configuration.queueCount = queueCount
      configuration.splitEventChannels = split
      configuration.keepsGrantsMapped = keepsGrants
      frontend = NetFrontend(on: thread.loop, configuration: configuration)
      driver = NetFrontendDriver(
        frontend, address: address, mtu: 9000, platform: hypervisor.platform(for: Self.guest), notices: XenbusNotices())
    }

    func backend(_ features: NetFeatures, carrier: String = "1", without key: String? = nil) -> XenbusDirectory {
      var keys = features.keys.merging(["carrier": carrier]) { _, new in new }
      if let key { keys[key] = nil }
      return XenbusDirectory(side: .backend, path: "/local/domain/0/backend/vif/7/0", domain: .control, values: keys)
    }

    /// What the driver's keys say, read as a back-end reads them.
    func transport(_ keys: [String: String], _ offered: NetFeatures) throws -> NetTransport {
      try NetTransport(
        reading: XenbusDirectory(side: .frontend, path: "/local/domain/7/device/vif/0", domain: Self.guest, values: keys), offered: offered)
    }

    func finish() async {
      await driver.disconnect()
      await frontend.close()
      #expect(hypervisor.ledger[Self.guest] == ResourceLedger.Account())
      thread.stopAndJoin()
    }
  }

  private static let everything = NetFeatures(maximumQueueCount: 8, capabilities: .all, splitEventChannels: true)

  @Test(arguments: [(4, 8, 4), (4, 2, 2), (4, 1, 1), (1, 8, 1), (40, 64, 16)])
  func usesAsManyQueuesAsBothEndsHave(asked: Int, offered: Int, used: Int) async throws {
    let fixture = try Fixture(queueCount: asked)
    var features = Self.everything
    features.maximumQueueCount = offered
    let keys = try await fixture.driver.prepare(backend: fixture.backend(features))
    #expect(try fixture.transport(keys, features).queues.count == used)
    try await fixture.driver.connected(backend: fixture.backend(features))
    #expect(fixture.frontend.status.link?.queueCount == used)
    await fixture.finish()
  }

  @Test(arguments: [(true, true), (true, false), (false, true)])
  func hasAChannelForEachRingOnlyWhereBothEndsWantThat(wanted: Bool, offered: Bool) async throws {
    let fixture = try Fixture(queueCount: 2, split: wanted)
    var features = Self.everything
    features.splitEventChannels = offered
    let keys = try await fixture.driver.prepare(backend: fixture.backend(features))
    for queue in try fixture.transport(keys, features).queues {
      switch queue.ports {
      case .split: #expect(wanted && offered)
      case .shared: #expect(!(wanted && offered))
      }
    }
    await fixture.finish()
  }

  @Test(arguments: [(true, true), (true, false), (false, true)])
  func hasAControlRingOnlyWhereBothEndsWantThat(wanted: Bool, offered: Bool) async throws {
    let fixture = try Fixture(queueCount: 2, keepsGrants: wanted)
    var features = Self.everything
    features.controlRing = offered
    for _ in 0..<2 {
      let keys = try await fixture.driver.prepare(backend: fixture.backend(features))
      let isThere = wanted && offered
      #expect((keys["ctrl-ring-ref"] != nil) == isThere && (keys["event-channel-ctrl"] != nil) == isThere)
      #expect(try (fixture.transport(keys, features).control != nil) == isThere)
      #expect(fixture.hypervisor.ledger[Fixture.guest].eventChannels == (isThere ? 5 : 4))
      try await fixture.driver.connected(backend: fixture.backend(features))
      await fixture.driver.disconnect()
    }
    await fixture.finish()
  }

  @Test func theLinkIsWhatTheBackEndSaysNow() async throws {
    let fixture = try Fixture()
    let features = NetFeatures(capabilities: [.scatterGather, .checksumV4])
    _ = try await fixture.driver.prepare(backend: fixture.backend(features))
    #expect(!fixture.frontend.status.isConnected, "not before the back-end is")
    try await fixture.driver.connected(backend: fixture.backend(features, carrier: "0"))
    let link = NetFrontLink(address: fixture.address, mtu: 9000, isUp: false, queueCount: 1, capabilities: [.scatterGather, .checksumV4])
    #expect(fixture.frontend.status.isConnected && fixture.frontend.status.link == link)
    for (carrier, isUp) in [("1", true), ("0", false), ("1", true), ("maybe", true)] {
      await fixture.driver.backendChanged(backend: fixture.backend(features, carrier: carrier))
      #expect(fixture.frontend.status.link?.isUp == isUp, "carrier \(carrier)")
    }
    await fixture.finish()
  }

  /// Frames that the back-end has are waited for; cancelled, nobody waits any more.
  @Test func quiescingWaitsForWhatTheBackEndHas() async throws {
    let fixture = try Fixture()
    let keys = try await fixture.driver.prepare(backend: fixture.backend(Self.everything))
    try await fixture.driver.connected(backend: fixture.backend(Self.everything))
    let queue = try #require(try fixture.transport(keys, Self.everything).queues.first)
    #expect(await fixture.frontend.send([NetFrame(pattern(60))]) == 1)
    let waiting = Task {
      await fixture.driver.quiesce()
      return await fixture.frontend.loop.run { [frontend = fixture.frontend] in frontend.plane.value.phase }
    }
    while await fixture.frontend.loop.run({ [frontend = fixture.frontend] in frontend.plane.value.phase != .quiescing }) { await Task.yield() }
    #expect(await fixture.frontend.send([NetFrame(pattern(60))]) == 0, "nothing is sent any more")
    let grants = try fixture.back.foreignGrants(of: Fixture.guest)
    let raw = try RawBack(queue.transmitRingReference, queue.receiveRingReference, grants)
    for slot in try raw.takeSlots() { raw.answer(slot.identifier) }
    // The ring alone says so: wake the loop, as an event would.
    await fixture.frontend.loop.run {}
    #expect(await waiting.value == .quiescing)
    raw.unmap()
    await fixture.driver.disconnect()

    _ = try await fixture.driver.prepare(backend: fixture.backend(Self.everything))
    try await fixture.driver.connected(backend: fixture.backend(Self.everything))
    #expect(await fixture.frontend.send([NetFrame(pattern(60))]) == 1)
    await withTaskGroup(of: Void.self) { group in
      // Before it begins: nobody may wait for ever then.
      group.cancelAll()
      group.addTask { await fixture.driver.quiesce() }
    }
    await fixture.finish()
  }

  @Test func aBackEndThatDoesNotCopyIsRefusedAndLeavesNothing() async throws {
    let fixture = try Fixture()
    await #expect(throws: XenbusKeyError.self) {
      _ = try await fixture.driver.prepare(backend: fixture.backend(Self.everything, without: "feature-rx-copy"))
    }
    await fixture.finish()
  }
}
