import ConsoleBack
import ConsoleFront
import EventLoop
import LinuxSystem
import Logging
import PVDriver
import SharedMemory
import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform
import XenStoreClient
import Xenbus

/// Both halves of a console over a real store, each on a loop of its own.
private final class ConsoleSystem: Sendable {
  let hypervisor = SimulatedHypervisor()
  let store: XenbusClientStore
  let client: XenStoreClient
  let paths = XenbusDevicePaths(kind: "console", device: 0, frontendDomain: StreamSystem.guest)

  init() async throws {
    client = hypervisor.platform(for: .control).connectToStore()
    try await client.introduce(StreamSystem.guest)
    store = XenbusClientStore(client)
    try await ToolstackDevice(paths: paths, store: store).create()
  }

  struct Back: Sendable {
    let platform: SimulatedPlatform
    let notices: XenbusNotices
    let thread: EventLoopThread
    let driver: ByteStreamBackendDriver<ConsoleBackendDevice, ByteStreamPump>
    let life: Task<XenbusEnding, any Error>
  }

  struct Front: Sendable {
    let notices: XenbusNotices
    let thread: EventLoopThread
    let driver: ByteStreamFrontendDriver<ConsoleFrontendDevice, ByteStreamPump>
    let life: Task<XenbusEnding, any Error>
  }

  func startBack(_ end: SharedDescriptor) async throws -> Back {
    let (platform, notices, thread) = (hypervisor.platform(for: .control), XenbusNotices(), try EventLoopThread.start(name: "back"))
    let loop = thread.loop
    let driver = try await ByteStreamBackendDriver(
      ConsoleBackendDevice(terminalPath: "/dev/pts/99", process: 4711), loop: loop, platform: platform, notices: notices
    ) { _ in try ByteStreamPump(loop: loop, input: end, output: end, overflow: .discardOldest(byteCount: 4096)) }
    let (paths, store) = (paths, store)
    let life = Task { try await XenbusBackend(driver: driver, paths: paths, store: store, notices: notices).run() }
    return Back(platform: platform, notices: notices, thread: thread, driver: driver, life: life)
  }

  func startFront(_ end: SharedDescriptor) async throws -> Front {
    let (platform, notices, thread) = (hypervisor.platform(for: StreamSystem.guest), XenbusNotices(), try EventLoopThread.start(name: "front"))
    let loop = thread.loop
    let driver = try await ByteStreamFrontendDriver(
      ConsoleFrontendDevice(), loop: loop, platform: platform, notices: notices, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { [try ByteStreamPump(loop: loop, input: end, output: end)] }
    let (paths, store) = (paths, store)
    let life = Task { try await XenbusFrontend(driver: driver, paths: paths, store: store, notices: notices).run() }
    return Front(notices: notices, thread: thread, driver: driver, life: life)
  }

  func stop(_ back: Back) async {
    back.notices.stop()
    _ = await back.life.result
    await back.driver.close()
    back.thread.stopAndJoin()
  }

  func kill(_ back: Back) async {
    back.life.cancel()
    hypervisor.kill(back.platform)
    _ = await back.life.result
    await back.driver.close()
    back.thread.stopAndJoin()
  }

  func stop(_ front: Front) async {
    front.notices.stop()
    _ = await front.life.result
    await front.driver.close()
    front.thread.stopAndJoin()
  }
}

private func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
  for _ in 0..<2000 {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(10))
  }
  throw Timeout(what: what)
}

@Suite struct ConsoleDriverTests {
  @Test func theEndsConnectOverTheStoreAndLeaveNothingBehind() async throws {
    let system = try await ConsoleSystem()
    let (host, guest) = (try Line(), try Line())
    let back = try await system.startBack(host.pumpEnd)
    let front = try await system.startFront(guest.pumpEnd)
    #expect(guest.send(Array("hello".utf8)) == 5)
    var received: [UInt8] = []
    try await eventually("the guest's words arrive") {
      received += host.receive()
      return received == Array("hello".utf8)
    }
    #expect(host.send(Array("answer\n".utf8)) == 7)
    received = []
    try await eventually("the answer arrives") {
      received += guest.receive()
      return received == Array("answer\n".utf8)
    }
    #expect(try await system.client.read("\(system.paths.backend)/tty") == "/dev/pts/99")
    #expect(try await system.client.readIfPresent("\(system.paths.frontend)/event-channel") != nil)
    #expect(await back.driver.counters().takenByteCount == 5)
    #expect(await front.driver.counters().takenByteCount == 7)
    await system.stop(front)
    await system.stop(back)
    #expect(system.hypervisor.ledger[StreamSystem.guest] == ResourceLedger.Account())
    #expect(system.hypervisor.ledger[.control] == ResourceLedger.Account())
  }

  @Test func aBackEndThatDiesIsReplacedByTheNextOne() async throws {
    let system = try await ConsoleSystem()
    let guest = try Line()
    let first = try Line()
    let back = try await system.startBack(first.pumpEnd)
    let front = try await system.startFront(guest.pumpEnd)
    try await eventually("connected") { await back.driver.withEndpoints { $0[0].isConnected } }
    await system.kill(back)
    let second = try Line()
    let next = try await system.startBack(second.pumpEnd)
    try await eventually("connected again") { await next.driver.withEndpoints { $0[0].isConnected } }
    #expect(guest.send([42]) == 1)
    var received: [UInt8] = []
    try await eventually("bytes arrive at the new one") {
      received += second.receive()
      return received == [42]
    }
    await system.stop(front)
    await system.stop(next)
    #expect(system.hypervisor.ledger[StreamSystem.guest] == ResourceLedger.Account())
  }

  @Test(arguments: [
    (["event-channel": "1"], "ring-ref"), (["ring-ref": "1"], "event-channel"), (["ring-ref": "x", "event-channel": "1"], "ring-ref"),
    (["ring-ref": "4000000000", "event-channel": "1"], "mapped"),
  ] as [([String: String], String)])
  func aGuestWhoseKeysAreWrongIsToldWhichOne(keys: [String: String], word: String) async throws {
    let system = try await ConsoleSystem()
    let host = try Line()
    let back = try await system.startBack(host.pumpEnd)
    let guest = system.hypervisor.platform(for: StreamSystem.guest)
    let channel = try guest.allocateUnboundChannel(for: .control)
    try await eventually("the back-end waits") { try await system.client.readIfPresent("\(system.paths.backend)/state") == "2" }
    for (key, value) in keys {
      try await system.client.write("\(system.paths.frontend)/\(key)", key == "event-channel" ? "\(channel.port)" : value)
    }
    try await system.client.write("\(system.paths.frontend)/state", "3")
    let path = system.paths.error(of: .backend)
    try await eventually("the reason is in the store") { try await system.client.readIfPresent(path)?.contains(word) ?? false }
    await system.stop(back)
    #expect(system.hypervisor.ledger[.control].mappedPages == 0)
  }

  @Test func aGuestThatBreaksItsRingIsDisconnectedAndCanComeAgain() async throws {
    let system = try await ConsoleSystem()
    let (host, guest) = (try Line(), try Line())
    let back = try await system.startBack(host.pumpEnd)
    let front = try await system.startFront(guest.pumpEnd)
    try await eventually("connected") { await front.driver.withEndpoints { $0[0].isConnected } }
    // What a guest can do that has the page: its own producer's index, far ahead.
    let reference = GrantReference(rawValue: try #require(UInt32(try await system.client.read("\(system.paths.frontend)/ring-ref"))))
    try withExtendedLifetime(try system.hypervisor.platform(for: .control).foreignGrants(of: StreamSystem.guest)) { grants in
      try grants.mapContiguously([reference]).bytes.store32(5000, at: ConsoleInterfaceLayout.outputProducerOffset)
    }
    await front.driver.withEndpoints { $0[0].signalPeer() }
    try await eventually("the back-end says so") { try await system.client.readIfPresent(system.paths.error(of: .backend))?.contains("5000") ?? false }
    await system.stop(front)
    let again = try await system.startFront(guest.pumpEnd)
    #expect(guest.send([7]) == 1)
    var received: [UInt8] = []
    try await eventually("the next connection works") {
      received += host.receive()
      return received == [7]
    }
    await system.stop(again)
    await system.stop(back)
    #expect(system.hypervisor.ledger[.control].mappedPages == 0)
  }
}
