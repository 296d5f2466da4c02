import BlockBack
import BlockEngine
import BlockInterface
import EventLoop
import SharedRing
import SimulatedPlatform
import TestSupport
import Testing
import XenInterface
import XenPlatform
import Xenbus

/// The store half: what it offers, takes up, gives back, and says.
@Suite struct BackDriverTests {
  /// A driver on a loop of its own, and the front's side of a device in another domain.
  private final class Fixture: Sendable {
    static let guest = DomainID(rawValue: 7)
    let hypervisor = SimulatedHypervisor(seed: 5)
    let front: SimulatedPlatform
    let thread: EventLoopThread
    let notices = XenbusNotices()
    let driver: BlockBackendDriver

    init(_ spec: BlockStoreSpec, _ configure: (inout BlockBackendConfiguration) -> Void = { _ in }) async throws {
      front = hypervisor.platform(for: Self.guest)
      thread = try EventLoopThread.start(name: "back")
      var configuration = BlockBackendConfiguration()
      configure(&configuration)
      driver = try await BlockBackendDriver.open(
        spec, loop: thread.loop, platform: hypervisor.platform(for: .control), notices: notices, configuration: configuration)
    }

    func directory(_ keys: [String: String]) -> XenbusDirectory {
      XenbusDirectory(side: .frontend, path: "/local/domain/7/device/vbd/51712", domain: Self.guest, values: keys)
    }

    func own(_ keys: [String: String]) -> XenbusDirectory {
      XenbusDirectory(side: .backend, path: "/local/domain/0/backend/vbd/7/51712", domain: .control, values: keys)
    }

    func finish() async {
      await driver.close()
      #expect(hypervisor.ledger[.control] == ResourceLedger.Account())
      thread.stopAndJoin()
    }
  }

  /// Rings and ports as a front-end would make them.
  private struct Device {
    let arena: GrantArena
    let queues: [RawQueue]
    let transport: BlockTransport

    init(_ front: SimulatedPlatform, queueCount: Int = 1, order: Int = 0) throws {
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: queueCount * (1 << order) + 8)
      self.arena = arena
      let queues = try (0..<queueCount).map { _ in
        RawQueue(arena: arena, order: order, layout: .x8664, channel: try front.allocateUnboundChannel(for: .control))
      }
      self.queues = queues
      transport = BlockTransport(queues: queues.map { .init(ringReferences: $0.ringReferences, port: $0.channel.port) })
    }

    func isFree() -> Bool { (0..<arena.pageCount).allSatisfy { arena.endAccess(page: $0) } }
  }

  @Test func offersWhatItCanDo() async throws {
    let fixture = try await Fixture(BlockStoreSpec(.memory(byteCount: 1 << 20))) { $0.maximumQueueCount = 3 }
    let features = try BlockFeatures(reading: fixture.own(try await fixture.driver.advertise()))
    #expect(features.maximumQueueCount == 3)
    #expect(features.maximumRingPageOrder == 4)
    #expect(features.maximumIndirectSegmentCount == 256)
    #expect(features.flush && features.barrier)
    #expect(features.discard?.isSecure == false)
    #expect(!features.persistentGrants, "mapping is cheap here, so copying into persistent pages would cost more")
    await fixture.finish()
  }

  @Test func servesFromConnectToDisconnectAndAgain() async throws {
    let fixture = try await Fixture(BlockStoreSpec(.memory(byteCount: 1 << 20)))
    for _ in 0..<3 {
      let device = try Device(fixture.front, queueCount: 4, order: 2)
      let keys = try await fixture.driver.connect(frontend: fixture.directory(device.transport.keys))
      #expect(try BlockGeometry(reading: fixture.own(keys)).sectorCount == 2048)
      let status = await fixture.driver.status()
      #expect(status.queues.map(\.entryCount) == [128, 128, 128, 128])
      #expect(status.mappedPageCount == 16)
      await fixture.driver.disconnect()
      await fixture.driver.disconnect()
      #expect(device.isFree())
      #expect(await fixture.driver.status().queues.isEmpty)
    }
    await fixture.finish()
  }

  @Test func givesBackWhatAFailedConnectHadTaken() async throws {
    let fixture = try await Fixture(BlockStoreSpec(.memory(byteCount: 1 << 20)))
    for (call, calls) in [(FaultPlan.Call.bindInterdomainChannel, 1...3), (.foreignGrants, 1...1), (.map, 1...3)] {
      for ordinal in calls {
        let device = try Device(fixture.front, queueCount: 3)
        fixture.hypervisor.changeFaults { $0.fail(call, ordinal: ordinal, with: .disconnected) }
        await #expect(throws: BlkifConnectError.self) { try await fixture.driver.connect(frontend: fixture.directory(device.transport.keys)) }
        await fixture.driver.disconnect()
        #expect(device.isFree())
        #expect(fixture.hypervisor.ledger[.control] == ResourceLedger.Account(), "after \(call) \(ordinal) failed")
      }
    }
    let device = try Device(fixture.front)
    _ = try await fixture.driver.connect(frontend: fixture.directory(device.transport.keys))
    await fixture.finish()
  }

  @Test func refusesAFrontEndThatTakesMoreThanItWasOffered() async throws {
    let fixture = try await Fixture(BlockStoreSpec(.memory(byteCount: 1 << 20))) {
      $0.maximumQueueCount = 2
      $0.maximumRingPageOrder = 1
    }
    let device = try Device(fixture.front, queueCount: 3)
    await #expect(throws: XenbusKeyError.self) { try await fixture.driver.connect(frontend: fixture.directory(device.transport.keys)) }
    let large = try Device(fixture.front, order: 2)
    await #expect(throws: XenbusKeyError.self) { try await fixture.driver.connect(frontend: fixture.directory(large.transport.keys)) }
    await fixture.finish()
  }

  @Test func obeysTheToolstacksMode() async throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let fixture = try await Fixture(BlockStoreSpec(.file(path: disk.path)))
    #expect(await fixture.driver.backing(device: fixture.own(["mode": "r", "device-type": "cdrom"])) == .ready)
    let device = try Device(fixture.front)
    let keys = try await fixture.driver.connect(frontend: fixture.directory(device.transport.keys))
    let geometry = try BlockGeometry(reading: fixture.own(keys))
    #expect(geometry.isReadOnly)
    #expect(geometry.info.contains(.cdrom))
    let features = try BlockFeatures(reading: fixture.own(try await fixture.driver.advertise()))
    #expect(features.discard == nil)
    await fixture.finish()
  }

  @Test func namesAnImageThatCannotBeOpened() async throws {
    let thread = try EventLoopThread.start(name: "back")
    let hypervisor = SimulatedHypervisor()
    await #expect(throws: BlockOpenError.missing(path: "/var/tmp/none.img")) {
      _ = try await BlockBackendDriver.open(
        BlockStoreSpec(.file(path: "/var/tmp/none.img")), loop: thread.loop, platform: hypervisor.platform(for: .control),
        notices: XenbusNotices())
    }
    thread.stopAndJoin()
  }

  @Test func followsAResizedFile() async throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let fixture = try await Fixture(BlockStoreSpec(.file(path: disk.path)))
    try disk.setByteCount(3 << 20)
    #expect(try await fixture.driver.refreshSize().sectorCount == 6144)
    #expect(await fixture.driver.status().geometry.sectorCount == 6144)
    await fixture.finish()
  }

  @Test func statusCanBeAskedForWhileConnectionsComeAndGo() async throws {
    let fixture = try await Fixture(BlockStoreSpec(.null(byteCount: 1 << 20)))
    let asking = Task { [driver = fixture.driver] in
      var count = 0
      while !Task.isCancelled {
        count += await driver.status().queues.count
        await Task.yield()
      }
      return count
    }
    for _ in 0..<50 {
      let device = try Device(fixture.front, queueCount: 2)
      _ = try await fixture.driver.connect(frontend: fixture.directory(device.transport.keys))
      await fixture.driver.disconnect()
    }
    asking.cancel()
    _ = await asking.value
    await fixture.finish()
  }
}
