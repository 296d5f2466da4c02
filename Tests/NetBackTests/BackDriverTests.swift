import EventLoop
import LinuxSystem
import NetBack
import NetEngine
import NetInterface
import NetPackets
import SimulatedPlatform
import Synchronization
import Testing
import XenInterface
import XenPlatform
import Xenbus

private final class Flag: Sendable {
  private let value = Atomic<Bool>(false)
  var isSet: Bool { value.load(ordering: .relaxed) }
  func set() { value.store(true, ordering: .relaxed) }
}

/// The store half: what it offers, takes up, gives back, and says.
@Suite struct BackDriverTests {
  /// A driver on a loop of its own, and the front's side of a device in another domain.
  private final class Fixture: Sendable {
    static let guest = DomainID(rawValue: 7)
    let hypervisor = SimulatedHypervisor(seed: 5)
    let front: SimulatedPlatform
    let thread: EventLoopThread
    let driver: NetBackendDriver

    init(
      port: @escaping @Sendable (EventLoop) throws -> NetPort = { _ in NullPort() }, configure: (inout NetBackConfiguration) -> Void = { _ in }
    ) async throws {
      front = hypervisor.platform(for: Self.guest)
      thread = try EventLoopThread.start(name: "back")
      var configuration = NetBackConfiguration()
      configure(&configuration)
      driver = try await NetBackendDriver(
        loop: thread.loop, platform: hypervisor.platform(for: .control), notices: XenbusNotices(), configuration: configuration, port: port)
    }

    func directory(_ keys: [String: String]) -> XenbusDirectory {
      XenbusDirectory(side: .frontend, path: "/local/domain/7/device/vif/0", domain: Self.guest, values: keys)
    }

    func own(_ keys: [String: String]) -> XenbusDirectory {
      XenbusDirectory(side: .backend, path: "/local/domain/0/backend/vif/7/0", domain: .control, values: keys)
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
    let queues: [RawVifQueue]
    let control: RawControlRing?
    let keys: [String: String]

    init(
      _ front: SimulatedPlatform, queueCount: Int = 1, split: Bool = false, control wantsControl: Bool = false,
      acceptance: NetAcceptance = NetAcceptance(capabilities: .all)
    ) throws {
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: queueCount * 2 + 4)
      self.arena = arena
      let queues = try (0..<queueCount).map { _ in
        RawVifQueue(arena: arena, channels: try (0..<(split ? 2 : 1)).map { _ in try front.allocateUnboundChannel(for: .control) })
      }
      let control = wantsControl ? RawControlRing(arena: arena, channel: try front.allocateUnboundChannel(for: .control)) : nil
      self.queues = queues
      self.control = control
      let transport = NetTransport(
        queues: queues.map { queue in
          NetTransport.Queue(
            transmitRingReference: arena.reference(ofPage: queue.transmitPage), receiveRingReference: arena.reference(ofPage: queue.receivePage),
            ports: queue.channels.count == 1
              ? .shared(queue.channels[0].port) : .split(transmit: queue.channels[0].port, receive: queue.channels[1].port))
        }, control: control.map { NetTransport.Control(ringReference: arena.reference(ofPage: $0.page), port: $0.channel.port) })
      keys = transport.keys.merging(acceptance.keys) { _, new in new }
    }

    func isFree() -> Bool { (0..<arena.pageCount).allSatisfy { arena.endAccess(page: $0) } }
  }

  @Test func offersWhatItAndItsPortCanDo() async throws {
    let fixture = try await Fixture(configure: { $0.maximumQueueCount = 3 })
    let features = try NetFeatures(reading: fixture.own(try await fixture.driver.advertise()))
    #expect(features.maximumQueueCount == 3)
    #expect(features.capabilities == .all)
    #expect(try await fixture.driver.advertise()["feature-dynamic-multicast-control"] == "0", "nobody watches that key")
    #expect(features.splitEventChannels && features.multicastControl && features.controlRing && features.headroom)
    await fixture.finish()
  }

  @Test func followsTheMulticastFilterOnlyWhereSomebodyWatchesIt() async throws {
    let fixture = try await Fixture(configure: { $0.followsMulticastControl = true })
    #expect(try await fixture.driver.advertise()["feature-dynamic-multicast-control"] == "1")
    await fixture.driver.setMulticastControl("1")
    let device = try Device(fixture.front)
    _ = try await fixture.driver.connect(frontend: fixture.directory(device.keys))
    #expect(await fixture.driver.status().acceptance?.multicastControl == false, "as the front-end said when it connected")
    for (text, isActive) in [("1", true), ("nonsense", true), ("0", false), ("1", true), (nil, false)] as [(String?, Bool)] {
      await fixture.driver.setMulticastControl(text)
      #expect(await fixture.driver.status().acceptance?.multicastControl == isActive, "\(text ?? "no key")")
    }
    await fixture.driver.disconnect()
    #expect(device.isFree())
    await fixture.finish()
  }

  @Test func servesFromConnectToDisconnectAndAgain() async throws {
    let fixture = try await Fixture()
    for round in 0..<4 {
      let device = try Device(fixture.front, queueCount: 1 + round, split: round % 2 == 1, control: round > 1)
      let keys = try await fixture.driver.connect(frontend: fixture.directory(device.keys))
      #expect(keys == ["carrier": "1"])
      let status = await fixture.driver.status()
      #expect(status.queues.count == 1 + round)
      #expect(status.queues.allSatisfy { $0.events.count == 1 + round % 2 })
      #expect(status.mappedPageCount == 2 * (1 + round) + (round > 1 ? 1 : 0))
      #expect(status.connectionCount == round + 1)
      await fixture.driver.disconnect()
      await fixture.driver.disconnect()
      #expect(device.isFree())
      #expect(await fixture.driver.status().queues.isEmpty)
    }
    await fixture.finish()
  }

  @Test func givesBackWhatAFailedConnectHadTaken() async throws {
    let fixture = try await Fixture()
    for (call, calls) in [(FaultPlan.Call.bindInterdomainChannel, 1...5), (.foreignGrants, 1...1), (.map, 1...5)] {
      for ordinal in calls {
        let device = try Device(fixture.front, queueCount: 2, split: true, control: true)
        fixture.hypervisor.changeFaults { $0.fail(call, ordinal: ordinal, with: .disconnected) }
        await #expect(throws: NetConnectError.self) { try await fixture.driver.connect(frontend: fixture.directory(device.keys)) }
        await fixture.driver.disconnect()
        #expect(device.isFree())
        #expect(fixture.hypervisor.ledger[.control] == ResourceLedger.Account(), "after \(call) \(ordinal) failed")
      }
    }
    let device = try Device(fixture.front)
    _ = try await fixture.driver.connect(frontend: fixture.directory(device.keys))
    await fixture.finish()
  }

  @Test func aMissingKeyRefusesTheFrontEndAndLeavesNothingBehind() async throws {
    let fixture = try await Fixture()
    let names = try Device(fixture.front, queueCount: 2, split: true, control: true).keys.keys.filter {
      $0.contains("ring-ref") || $0.contains("event-channel") || $0 == "request-rx-copy"
    }
    #expect(names.count == 11)
    for name in names.sorted() {
      let device = try Device(fixture.front, queueCount: 2, split: true, control: true)
      var keys = device.keys
      keys[name] = nil
      await #expect(throws: XenbusKeyError.self, "without \(name)") { try await fixture.driver.connect(frontend: fixture.directory(keys)) }
      await fixture.driver.disconnect()
      #expect(device.isFree())
    }
    await fixture.finish()
  }

  @Test(arguments: ["0", "5", "4294967295", "4294967296", "", "-1", "2x", "1024", "1025"])
  func refusesQueueCountsThatMakeNoSense(count: String) async throws {
    let fixture = try await Fixture()
    let device = try Device(fixture.front)
    var keys = device.keys
    keys["multi-queue-num-queues"] = count
    await #expect(throws: XenbusKeyError.self) { try await fixture.driver.connect(frontend: fixture.directory(keys)) }
    await fixture.driver.disconnect()
    #expect(device.isFree())
    await fixture.finish()
  }

  @Test func aPortThatRefusesEndsTheConnectionOnly() async throws {
    let fixture = try await Fixture(port: { _ in
      let port = RecordingPort()
      port.refusal = .busy("tap0")
      return port
    })
    let device = try Device(fixture.front, queueCount: 2, control: true)
    await #expect(throws: NetConnectError.port(.busy("tap0"))) { try await fixture.driver.connect(frontend: fixture.directory(device.keys)) }
    await fixture.driver.disconnect()
    #expect(device.isFree())
    #expect(fixture.hypervisor.ledger[.control] == ResourceLedger.Account())
    await fixture.finish()
  }

  @Test func waitsForHotplugAndReadsTheRate() async throws {
    let fixture = try await Fixture()
    #expect(await fixture.driver.backing(device: fixture.own([:])) == .ready)
    #expect(await fixture.driver.backing(device: fixture.own(["script": "vif-bridge"])) == .waiting(forKey: "hotplug-status"))
    #expect(await fixture.driver.backing(device: fixture.own(["script": "vif-bridge", "hotplug-status": "error"])) == .waiting(forKey: "hotplug-status"))
    #expect(await fixture.driver.backing(device: fixture.own(["script": "vif-bridge", "hotplug-status": "connected"])) == .ready)
    _ = await fixture.driver.backing(device: fixture.own(["rate": "1000000,100000"]))
    #expect(await fixture.driver.status().rate?.byteCount == 1_000_000)
    for text in ["0,1", "x", "1", "", "1,2,3"] {
      _ = await fixture.driver.backing(device: fixture.own(["rate": text]))
      #expect(await fixture.driver.status().rate == nil, "\(text)")
    }
    await fixture.finish()
  }

  @Test func headroomAndFilterChangeWhileConnected() async throws {
    let fixture = try await Fixture()
    let device = try Device(fixture.front)
    _ = try await fixture.driver.connect(frontend: fixture.directory(device.keys))
    var keys = device.keys
    keys["xdp-headroom"] = "256"
    keys["request-multicast-control"] = "1"
    #expect(try await fixture.driver.reconfigure(frontend: fixture.directory(keys)).isEmpty)
    #expect(await fixture.driver.status().acceptance?.headroomByteCount == 256)
    #expect(await fixture.driver.status().acceptance?.multicastControl == true)
    keys["xdp-headroom"] = "5000"
    await #expect(throws: XenbusKeyError.self) { try await fixture.driver.reconfigure(frontend: fixture.directory(keys)) }
    await fixture.finish()
  }

  private final class DeadPort: NetPort { override var hasCarrier: Bool { false } }

  @Test func aPortWithoutCarrierSaysSo() async throws {
    let fixture = try await Fixture(port: { _ in DeadPort() })
    let device = try Device(fixture.front)
    #expect(try await fixture.driver.connect(frontend: fixture.directory(device.keys)) == ["carrier": "0"])
    #expect(try NetFeatures(reading: fixture.own(try await fixture.driver.advertise())).capabilities.isEmpty)
    await fixture.finish()
  }

  @Test func xsa350AndCVE2026_100080StatusIsReadWhileConnectionsComeAndGo() async throws {
    let fixture = try await Fixture()
    let ended = Flag()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        var polls = 0
        while !ended.isSet || polls == 0 {
          let status = await fixture.driver.status()
          #expect(status.queues.count <= 2)
          polls += 1
        }
      }
      for _ in 0..<40 {
        let device = try Device(fixture.front, queueCount: 2, split: true)
        for queue in device.queues {
          var request = NetifTransmitRequest()
          request.grantReference = device.arena.grant(page: device.arena.pageCount - 1)
          request.byteCount = 60
          queue.put([NetifTransmitRequest](repeating: request, count: 100))
        }
        _ = try await fixture.driver.connect(frontend: fixture.directory(device.keys))
        await fixture.driver.disconnect()
        #expect(device.isFree())
      }
      ended.set()
      try await group.waitForAll()
    }
    await fixture.finish()
  }
}
