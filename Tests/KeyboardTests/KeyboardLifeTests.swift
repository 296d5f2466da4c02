import DriverTestSupport
import EventLoop
import KeyboardDriver
import LinuxSystem
import Logging
import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform
import XenStoreClient
import Xenbus

/// A keyboard whose events are a test's own.
private final class SilentKeyboard: EventRingEngine {
  typealias Device = KeyboardDevice
  static var optionKeys: [String] { ["positions"] }
  let device: KeyboardDevice
  init(_ setup: EngineSetup, _ events: EventSender<KeyboardEvent>) {
    device = KeyboardDevice(area: setup.options["positions"] == nil ? nil : (800, 600))
  }
}

/// Both ends of a keyboard by hand, without a store: the back-end's driver, and a front-end that a test makes up.
@Suite struct KeyboardLifeTests {
  private static let guest = DomainID(rawValue: 7)

  /// A back-end in domain 0, and a page of domain 7.
  private final class System {
    let hypervisor = SimulatedHypervisor(seed: 1)
    let thread: EventLoopThread
    let back: EventPageBackendDriver<SilentKeyboard>
    let arena: GrantArena
    let page: SharedBytes
    private let pageNumber: Int
    let channel: EventChannel

    init(positions: Bool = false) async throws {
      let front = hypervisor.platform(for: KeyboardLifeTests.guest)
      thread = try EventLoopThread.start(name: "back")
      var setup = BackendSetup(loop: thread.loop, platform: hypervisor.platform(for: .control), notices: XenbusNotices())
      setup.options = positions ? ["positions": "yes"] : [:]
      setup.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      back = try await .open(setup)
      arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      pageNumber = try #require(arena.allocatePage())
      page = arena.bytes
      channel = try front.allocateUnboundChannel(for: .control)
    }

    func directory(_ change: (inout [String: String]) -> Void = { _ in }) -> XenbusDirectory {
      var values = ["page-gref": "\(arena.grant(page: pageNumber))", "event-channel": "\(channel.port)"]
      change(&values)
      return XenbusDirectory(side: .frontend, path: "/frontend", domain: KeyboardLifeTests.guest, values: values)
    }

    /// Lets the back-end do what it has to; then asks how it is.
    func settle() async -> EventPageBackendDriver<SilentKeyboard>.Plane.Counters {
      for _ in 0..<20 { try? await Task.sleep(for: .milliseconds(1)) }
      return await back.status().counters
    }

    func finish() async {
      await back.disconnect()
      thread.stopAndJoin()
      #expect(arena.endAccess(page: pageNumber), "the page is still mapped")
      #expect(hypervisor.ledger[.control] == ResourceLedger.Account())
    }
  }

  @Test func eventsThatComeBeforeAFrontEndAreKeptAndTheOldestAreDropped() async throws {
    let system = try await System()
    for code in 0..<300 as Range<UInt32> { system.back.send(.key(code, isPressed: true)) }
    _ = try await system.back.connect(frontend: system.directory())
    var reader = try EventReader<KeyboardEvent>(system.page, layout: .keyboardIn)
    var codes: [UInt32] = []
    for _ in 0..<500 where codes.count < 256 {
      while let event = try reader.take() { codes.append(KeyboardKey(slot: event).keyCode) }
      EventDescriptor.signal(system.channel.signalDescriptor)
      try await Task.sleep(for: .milliseconds(1))
    }
    #expect(codes == Array(44..<300))
    let counters = await system.back.status().counters
    #expect(counters.sent == 256)
    #expect(counters.dropped == 44)
    await system.finish()
  }

  @Test(arguments: [52, 1000, .max] as [UInt32])
  func aProducerOfTheFrontEndThatJumpsEndsTheConnectionOnly(jump: UInt32) async throws {
    let system = try await System()
    _ = try await system.back.connect(frontend: system.directory())
    system.page.store32(jump, at: EventRingLayout.keyboardOut.producer)
    EventDescriptor.signal(system.channel.signalDescriptor)
    _ = await system.settle()
    #expect(await !system.back.status().isConnected)
    system.back.send(.key(1, isPressed: true))
    #expect(await system.settle().sent == 0)
    await system.finish()
  }

  @Test func aConsumerThatClaimsWhatWasNeverWrittenEndsTheConnection() async throws {
    let system = try await System()
    _ = try await system.back.connect(frontend: system.directory())
    system.page.store32(1000, at: EventRingLayout.keyboardIn.consumer)
    for code in 0..<60 as Range<UInt32> { system.back.send(.key(code, isPressed: true)) }
    _ = await system.settle()
    #expect(await !system.back.status().isConnected)
    await system.finish()
  }

  @Test func eventsOfAFrontEndAreReadAndForgotten() async throws {
    let system = try await System()
    _ = try await system.back.connect(frontend: system.directory())
    var writer = try EventWriter<KeyboardEvent>(system.page, layout: .keyboardOut)
    for _ in 0..<10 { _ = try writer.put(.key(1, isPressed: true)) }
    EventDescriptor.signal(system.channel.signalDescriptor)
    #expect(await system.settle().received == 10)
    await system.finish()
  }

  @Test func whatWasNotOfferedCannotBeTaken() async throws {
    let system = try await System()
    #expect(try await system.back.advertise() == ["feature-abs-pointer": "0"])
    await #expect(throws: XenbusKeyError.self) {
      try await system.back.connect(frontend: system.directory { $0["request-abs-pointer"] = "1" })
    }
    await #expect(throws: XenbusKeyError.self) { try await system.back.connect(frontend: system.directory { $0["page-gref"] = nil }) }
    await #expect(throws: XenbusKeyError.self) { try await system.back.connect(frontend: system.directory { $0["event-channel"] = "0" }) }
    await #expect(throws: GrantError.self) { try await system.back.connect(frontend: system.directory { $0["page-gref"] = "4000000" }) }
    await system.finish()
  }

  @Test func positionsAreOfferedWithTheAreaThatTheyLieIn() async throws {
    let system = try await System(positions: true)
    #expect(try await system.back.advertise() == ["feature-abs-pointer": "1", "width": "800", "height": "600"])
    let plan = try KeyboardDevice().plan(
      for: XenbusDirectory(side: .backend, path: "/backend", domain: .control, values: ["feature-abs-pointer": "1"]))
    let accepted = KeyboardDevice().keys(plan, page: GrantReference(rawValue: 5), port: EventChannelPort(rawValue: 6))
    #expect(accepted == ["request-abs-pointer": "1", "page-gref": "5", "event-channel": "6"])
    _ = try await system.back.connect(frontend: system.directory { $0["request-abs-pointer"] = "1" })
    await system.finish()
  }
}
