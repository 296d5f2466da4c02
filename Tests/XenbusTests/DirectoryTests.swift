import Synchronization
import Testing
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreWire
import Xenbus

@Suite(.timeLimit(.minutes(5))) struct DirectoryTests {
  private func directory(_ values: [String: String]) -> XenbusDirectory {
    XenbusDirectory(side: .frontend, path: "/f", domain: DomainID(rawValue: 7), values: values)
  }

  @Test(arguments: ["", "-1", "+5", "5 ", "0x5", "4294967296", "five"])
  func aKeyThatIsNoNumberIsRefusedWithSidePathValueAndExpectation(value: String) {
    let error = #expect(throws: XenbusKeyError.self) { try directory(["event-channel": value]).value(BlkifKeys.Frontend.eventChannel) }
    #expect(error?.side == .frontend)
    #expect(error?.path == "/f/event-channel")
    #expect(error?.value == value)
    #expect(error?.description.contains("expected a decimal number") == true)
  }

  @Test func aMissingKeyIsNamed() {
    let error = #expect(throws: XenbusKeyError.self) { try directory([:]).value(BlkifKeys.Frontend.eventChannel) }
    #expect(error?.description.hasPrefix("front-end key /f/event-channel is missing, expected ") == true)
  }

  @Test func aLongOrStrangeValueCannotDisturbALog() {
    let error = XenbusKeyError(side: .backend, path: "/b", value: "\u{1B}[2J" + String(repeating: "x", count: 500), expectation: "0 or 1")
    #expect(error.description.count < 200)
    #expect(!error.description.unicodeScalars.contains { $0.value < 0x20 })
  }

  @Test func childrenAreListedOncePerName() {
    let keys = directory(["queue-0/ring-ref": "8", "queue-0/event-channel": "3", "queue-1/ring-ref": "9", "state": "3"])
    #expect(keys.children() == ["queue-0", "queue-1", "state"])
    #expect(keys.children(of: "queue-0") == ["event-channel", "ring-ref"])
  }

  @Test func aDirectoryIsReadWithItsQueuesAndNotWithoutBound() async throws {
    let store = MemoryStore()
    try await store.write("/f/state", "3")
    try await store.write("/f/queue-0/ring-ref", "8")
    let seven = DomainID(rawValue: 7)
    let keys = try await store.transaction { try await $0.directory(side: .frontend, path: "/f", domain: seven) }
    #expect(keys.values["queue-0/ring-ref"] == "8" && keys.state == .initialised)
    await #expect(throws: XenbusError.directoryTooLarge(side: .frontend, directory: "/f", limit: 2)) {
      try await store.transaction { try await $0.directory(side: .frontend, path: "/f", domain: seven, limit: 2) }
    }
  }

  // MARK: The same through a real client and a real store

  private func client() -> XenStoreClient {
    let service = XenStoreInMemoryService()
    let (near, far) = XenStoreLoopbackTransport.pair()
    let id = service.connect(
      domain: .control, privileged: true, deliver: { try? far.send($0) }, close: { far.close() })
    far.start(receive: { service.receive($0, from: id) }, closed: { service.disconnect(id) })
    return XenStoreClient(transport: near)
  }

  @Test func bothEndsLiveThroughTheRealStore() async throws {
    let client = client()
    let store = XenbusClientStore(client)
    let seven = DomainID(rawValue: 7)
    let paths = XenbusDevicePaths(kind: "vbd", device: 51712, frontendDomain: seven)
    try await client.introduce(seven)
    let device = ToolstackDevice(paths: paths, store: store)
    try await device.create(frontendKeys: ["virtual-device": "51712"], backendKeys: ["params": "/disk.img"])
    #expect(try await client.permissions(paths.frontend + "/state").map(\.description) == ["n7", "r0"])
    #expect(try await client.permissions(paths.backend + "/state").map(\.description) == ["n0", "r7"])
    #expect(try await client.permissions(paths.shadow).map(\.description) == ["n0"])

    let (backendNotices, frontendNotices) = (XenbusNotices(), XenbusNotices())
    let backend = XenbusBackend(driver: RecordingBackend(), paths: paths, store: store, notices: backendNotices)
    let frontend = XenbusFrontend(driver: RecordingFrontend(), paths: paths, store: store, notices: frontendNotices)
    let backendLife = Task { try await backend.run() }
    let frontendLife = Task { try await frontend.run() }
    for await _ in try await store.watch(paths.frontend + "/state") {
      if try await client.readIfPresent(paths.frontend + "/state") == "4" { break }
    }
    #expect(await backend.status.connectionCount == 1)
    #expect(try await device.remove(patience: .seconds(30)) == nil)
    #expect(try await backendLife.value == .removed)
    #expect(try await frontendLife.value == .removed)
    #expect(try await client.readIfPresent(paths.backend) == nil)
    #expect(try await client.readIfPresent(paths.shadow) == nil)
  }

  @Test func anEndWhoseStoreGoesAwaySaysSoAndLetsGo() async throws {
    let client = client()
    let paths = XenbusDevicePaths(kind: "vbd", device: 1, frontendDomain: DomainID(rawValue: 7))
    let store = XenbusClientStore(client)
    try await ToolstackDevice(paths: paths, store: store).create()
    let driver = RecordingBackend()
    let backend = XenbusBackend(driver: driver, paths: paths, store: store, notices: XenbusNotices())
    let life = Task { try await backend.run() }
    for await _ in try await store.watch(paths.backend + "/state") {
      if try await client.readIfPresent(paths.backend + "/state") == "2" { break }
    }
    try await client.write(paths.frontend + "/state", "4")
    for await _ in try await store.watch(paths.backend + "/state") {
      if try await client.readIfPresent(paths.backend + "/state") == "4" { break }
    }
    client.close()
    await #expect(throws: (any Error).self) { try await life.value }
    #expect(driver.calls == ["advertise", "connect", "disconnect"])
  }
}
