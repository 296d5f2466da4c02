import BlockFront
import BlockInterface
import BlockTestSupport
import EventLoop
import Testing
import XenInterface
import XenPlatform
import Xenbus

@Suite struct FrontEndDriverTests {
  let hypervisor = LocalHypervisor()
  static let path = "/local/domain/0/backend/vbd/7/51712"

  private func directory(_ keys: [String: String]) -> XenbusDirectory {
    XenbusDirectory(side: .backend, path: Self.path, domain: .control, values: keys)
  }

  /// Connects through the keys alone, as another implementation would.
  @Test(arguments: [
    (BlockFeatures(), 1, 0, false),
    (BlockFeatures(maximumQueueCount: 4, maximumRingPageOrder: 3, maximumIndirectSegmentCount: 64, persistentGrants: true, flush: true), 2, 2, true),
    (BlockFeatures(maximumQueueCount: 1, maximumRingPageOrder: 1, discard: BlockDiscardLimits()), 1, 1, false),
  ])
  func connectsByWhatBothEndsCanDo(offered: BlockFeatures, queueCount: Int, order: Int, persistent: Bool) async throws {
    let thread = try EventLoopThread.start(name: "device")
    defer { thread.stopAndJoin() }
    var configuration = BlockFrontConfiguration()
    configuration.queueCount = 2
    configuration.bufferByteCount = 4 << 20
    let disk = BlockFrontend(on: thread.loop, configuration: configuration)
    let notices = XenbusNotices()
    let frontDomain = DomainID(rawValue: 7)
    let driver = BlockFrontendDriver(disk, platform: hypervisor.platform(of: frontDomain), notices: notices)

    let keys = try await driver.prepare(backend: directory(offered.keys))
    #expect(keys["protocol"] == "x86_64-abi")
    #expect((keys["multi-queue-num-queues"] != nil) == (queueCount > 1))
    #expect((keys["ring-page-order"] != nil) == (order > 0))
    let front = XenbusDirectory(side: .frontend, path: "/local/domain/7/device/vbd/51712", domain: frontDomain, values: keys)
    let transport = try BlockTransport(reading: front, offered: offered)
    #expect(transport.queues.count == queueCount)
    #expect(transport.queues[0].ringReferences.count == 1 << order)
    #expect(transport.persistentGrants == persistent)

    let back = hypervisor.platform(of: .control)
    let geometry = BlockGeometry(sectorCount: 2048)
    let backend = try await thread.loop.run { () -> Result<LoopConfined<MemoryBackend>, any Error> in
      Result {
        let backend = MemoryBackend(
          byteCount: 1 << 20, grants: try back.foreignGrants(of: frontDomain), isPersistent: transport.persistentGrants)
        thread.loop.attach(backend)
        for queue in transport.queues {
          try backend.serve(ring: queue.ringReferences, channel: try back.bindInterdomainChannel(remote: frontDomain, port: queue.port))
        }
        return LoopConfined(backend, on: thread.loop)
      }
    }.get()
    try await driver.connected(backend: directory(offered.keys.merging(geometry.keys) { $1 }))
    #expect(disk.geometry?.flushes == offered.flush)
    #expect(disk.geometry?.discard == offered.discard)
    let bytes = pattern(100 * 4096, seed: 9)
    try await disk.write(bytes, at: 4096)
    #expect(try await disk.read(at: 4096, byteCount: bytes.count) == bytes)

    // A resize: the same keys, read again.
    let larger = BlockGeometry(sectorCount: 4096)
    await driver.backendChanged(backend: directory(offered.keys.merging(larger.keys) { $1 }))
    #expect(disk.geometry?.sectorCount == 4096)
    await driver.backendChanged(backend: directory(offered.keys.merging(["sectors": "none"]) { $1 }))
    #expect(disk.geometry?.sectorCount == 4096, "what cannot be read changes nothing")

    await driver.quiesce()
    await withCheckedContinuation { continuation in thread.loop.execute { backend.value.stop { continuation.resume() } } }
    await driver.disconnect()
    await driver.disconnect()
    #expect(hypervisor.ledger.arenas == 0)
    #expect(hypervisor.ledger.ends == 0)
    await disk.close()
  }

  @Test func reportsADeadBackEndAtOnce() async throws {
    let thread = try EventLoopThread.start(name: "device")
    defer { thread.stopAndJoin() }
    let disk = BlockFrontend(on: thread.loop)
    let frontDomain = DomainID(rawValue: 7)
    let driver = BlockFrontendDriver(disk, platform: hypervisor.platform(of: frontDomain), notices: XenbusNotices())
    let keys = try await driver.prepare(backend: directory([:]))
    let port = EventChannelPort(rawValue: try #require(UInt32(keys["event-channel"] ?? "")))
    var bound: EventChannel? = try hypervisor.platform(of: .control).bindInterdomainChannel(remote: frontDomain, port: port)
    #expect(bound?.remoteDomain == frontDomain)
    try await driver.connected(backend: directory(BlockGeometry(sectorCount: 8).keys))
    let reports = disk.reports()
    let reading = Task { try await disk.read(at: 0, byteCount: 512) }
    while await thread.loop.run({ disk.plane.value.requestsInFlightCount == 0 }) {}
    bound = nil
    await #expect(throws: BlockFrontError.backendLost("its end of the event channel was closed")) { try await reading.value }
    var iterator = reports.makeAsyncIterator()
    guard case .backendLost = await iterator.next() else {
      Issue.record("no report")
      return
    }
    #expect(!disk.status.isConnected)
    await driver.disconnect()
    await disk.close()
    #expect(hypervisor.ledger.arenas == 0)
  }

  @Test(arguments: [
    ["sectors": "8", "sector-size": "8192"], ["sectors": "8", "sector-size": "513"], ["sector-size": "512"],
    ["sectors": "99999999999999999999"], ["sectors": "8", "info": "x"], ["sectors": "8", "feature-flush-cache": "maybe"],
  ])
  func doesNotConnectToADeviceThatCannotBe(keys: [String: String]) async throws {
    let thread = try EventLoopThread.start(name: "device")
    defer { thread.stopAndJoin() }
    let disk = BlockFrontend(on: thread.loop)
    let driver = BlockFrontendDriver(disk, platform: hypervisor.platform(of: DomainID(rawValue: 7)), notices: XenbusNotices())
    _ = try await driver.prepare(backend: directory([:]))
    await #expect(throws: XenbusKeyError.self) { try await driver.connected(backend: directory(keys)) }
    await driver.disconnect()
    await disk.close()
    #expect(hypervisor.ledger.arenas == 0)
  }
}
