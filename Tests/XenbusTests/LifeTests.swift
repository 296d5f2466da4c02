import Synchronization
import Testing
import XenInterface
import Xenbus

/// The runner against a store in memory: both of our ends, and front-ends as other people write them.
@Suite(.timeLimit(.minutes(5))) struct LifeTests {
  @Test(arguments: [true, false]) func endsConnectInEitherOrder(backendFirst: Bool) async throws {
    let device = try await DeviceFixture()
    let first = backendFirst ? device.startBackend() : device.startFrontend()
    try await device.wait(backendFirst ? .backend : .frontend, backendFirst ? .initWait : .initialising)
    let second = backendFirst ? device.startFrontend() : device.startBackend()
    try await device.waitUntilConnected()
    #expect(device.states(.backend) == [1, 2, 4])
    #expect(device.states(.frontend) == [1, 3, 4])
    #expect(device.memory[device.paths.frontend + "/ring-ref"] == "8")
    #expect(device.frontend.state.withLock { $0.sectors } == "2048")
    #expect(device.backend.state.withLock { $0.seen?["event-channel"] } == "3")
    await first.kill()
    await second.kill()
  }

  @Test func aBackendThatIsStoppedDrainsBeforeItIsClosedAndTheFrontendConnectsToTheNextOne() async throws {
    let device = try await DeviceFixture()
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    backend.notices.stop()
    #expect(try await backend.task.value == .stopped)
    #expect(device.states(.backend) == [1, 2, 4, 5, 6])
    #expect(device.backend.calls == ["advertise", "connect", "disconnect"])
    try await device.wait(.frontend, .initialising)
    #expect(device.frontend.calls == ["prepare 4", "connected", "quiesce", "disconnect"])

    let next = device.startBackend()
    try await device.waitUntilConnected()
    #expect(device.frontend.calls.suffix(2) == ["prepare 4", "connected"])
    await next.kill()
    await frontend.kill()
  }

  @Test func whatAnEarlierConnectionLeftIsRemoved() async throws {
    let device = try await DeviceFixture()
    try await device.write(.frontend, "ring-page-order", "2")
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    #expect(device.memory[device.paths.frontend + "/ring-page-order"] == nil)
    #expect(device.memory[device.paths.frontend + "/ring-ref"] == "8")
    await frontend.kill()
    await backend.kill()
  }

  @Test func aFrontendThatIsStoppedClosesAndItsBackendWaitsForAnother() async throws {
    let device = try await DeviceFixture()
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    frontend.notices.stop()
    #expect(try await frontend.task.value == .stopped)
    #expect(device.states(.frontend) == [1, 3, 4, 5, 6])
    #expect(device.memory[device.paths.backend + "/state"] == "6")
    let next = device.startFrontend()
    try await device.waitUntilConnected()
    #expect(device.backend.calls == ["advertise", "connect", "disconnect", "advertise", "connect"])
    await next.kill()
    await backend.kill()
  }

  @Test func aKilledFrontendIsDisconnectedAndTheDeviceConnectsToANewProcess() async throws {
    let device = try await DeviceFixture()
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    await frontend.kill()
    #expect(device.memory[device.paths.frontend + "/state"] == "4", "a killed process writes nothing")
    backend.notices.peerVanished()
    try await device.wait(.backend, .closed)
    #expect(device.backend.state.withLock { !$0.isConnected })

    let next = device.startFrontend()
    try await device.waitUntilConnected()
    #expect(device.backend.state.withLock { $0.isConnected })
    await next.kill()
    await backend.kill()
  }

  @Test func aFrontendThatRestartsUnnoticedMakesTheBackendLetGoFirst() async throws {
    let device = try await DeviceFixture()
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    await frontend.kill()
    let next = device.startFrontend()
    try await device.wait(.backend, .closed)
    try await device.waitUntilConnected()
    #expect(device.states(.frontend).suffix(5) == [5, 6, 1, 3, 4], "as after kexec")
    #expect(device.backend.calls == ["advertise", "connect", "disconnect", "advertise", "connect"])
    await next.kill()
    await backend.kill()
  }

  @Test func aFrontendReportsAKilledBackendAndConnectsToTheNextOne() async throws {
    let device = try await DeviceFixture()
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    await backend.kill()
    frontend.notices.peerVanished()
    let error = device.paths.error(of: .frontend)
    try await device.memory.wait(for: error, "5 the back-end's process died")
    try await device.wait(.frontend, .initialising)
    #expect(device.memory[device.paths.backend + "/state"] == "4", "left behind")

    let next = device.startBackend()
    try await device.waitUntilConnected()
    try await device.memory.wait(for: error, nil)
    await next.kill()
    await frontend.kill()
  }

  @Test func removalClosesBothEndsAndLeavesNothing() async throws {
    let device = try await DeviceFixture()
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    #expect(try await ToolstackDevice(paths: device.paths, store: device.store).remove(patience: .seconds(30)) == nil)
    #expect(try await backend.task.value == .removed)
    #expect(try await frontend.task.value == .removed)
    #expect(device.memory.contents.withLock { $0.nodes.keys.filter { $0.contains("51712") } } == [])
  }

  @Test func removalOfADeviceWithoutProcessesSaysWhoDidNotClose() async throws {
    let device = try await DeviceFixture()
    let remark = try await ToolstackDevice(paths: device.paths, store: device.store).remove(patience: .milliseconds(1))
    #expect(remark?.contains("the front-end is initialising (1), the back-end is initialising (1)") == true)
    #expect(device.memory[device.paths.backend + "/state"] == nil)
  }

  @Test func aDirectoryThatWasRemovedIsNotResurrected() async throws {
    let device = try await DeviceFixture()
    let backend = device.startBackend()
    try await device.wait(.backend, .initWait)
    try await device.memory.transaction { try await $0.remove(device.paths.backend) }
    #expect(try await backend.task.value == .removed)
    #expect(device.memory.contents.withLock { $0.nodes.keys.filter { $0.hasPrefix(device.paths.backend) } } == [])
  }

  @Test func aConnectionThatFailsIsReportedAndTriedAgain() async throws {
    let device = try await DeviceFixture()
    device.backend.state.withLock { $0.connectFailure = "ring-ref 8 is not granted" }
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    let error = device.paths.error(of: .backend)
    #expect(error == "/local/domain/0/error/backend/vbd/7/51712/error")
    try await device.memory.wait(for: error, "5 ring-ref 8 is not granted")
    device.backend.state.withLock { $0.connectFailure = nil }
    try await device.waitUntilConnected()
    try await device.memory.wait(for: error, nil)
    #expect(device.backend.calls.starts(with: ["advertise", "connect", "disconnect", "advertise", "connect"]))
    await backend.kill()
    await frontend.kill()
  }

  @Test func aBackendThatCannotOfferTheDeviceEndsAndSaysWhy() async throws {
    let device = try await DeviceFixture()
    device.backend.state.withLock { $0.advertiseFailure = "no such image" }
    let backend = device.startBackend()
    #expect(try await backend.task.value == .failed("no such image"))
    #expect(device.memory[device.paths.backend + "/state"] == "6")
    #expect(device.memory[device.paths.error(of: .backend)] == "5 no such image")
  }

  @Test func aPeerThatBreaksARingRuleIsStoppedAndReported() async throws {
    let device = try await DeviceFixture()
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    backend.notices.peerViolation("req_prod 99 is more than 32 ahead")
    try await device.memory.wait(for: device.paths.error(of: .backend), "5 req_prod 99 is more than 32 ahead")
    try await device.wait(.backend, .closed)
    // The front-end begins again, with rings that are new.
    try await device.waitUntilConnected()
    await backend.kill()
    await frontend.kill()
  }

  @Test func hotplugIsWaitedFor() async throws {
    let device = try await DeviceFixture()
    device.backend.state.withLock { $0.waitsFor = ("hotplug-status", "connected") }
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.wait(.frontend, .initialised)
    try await device.write(.backend, "unrelated", "1")
    #expect(device.backend.calls == ["advertise"])
    try await device.write(.backend, "hotplug-status", "connected")
    try await device.waitUntilConnected()
    await backend.kill()
    await frontend.kill()
  }

  @Test func aResizeReachesTheFrontendThatIsConnected() async throws {
    let device = try await DeviceFixture()
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    backend.notices.capacityChanged(["sectors": "4096"])
    while device.frontend.state.withLock({ $0.sectors }) != "4096" { try await Task.sleep(for: .milliseconds(1)) }
    #expect(device.states(.backend) == [1, 2, 4, 4], "the same state again makes the watch fire")
    await backend.kill()
    await frontend.kill()
  }

  @Test func keysAreRenegotiatedWhileConnected() async throws {
    let device = try await DeviceFixture()
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    frontend.notices.reconfigure(["xdp-headroom": "256"])
    try await device.memory.wait(for: device.paths.backend + "/headroom-ack", "1")
    try await device.waitUntilConnected()
    #expect(device.states(.frontend) == [1, 3, 4, 7, 4])
    #expect(device.backend.state.withLock { $0.seen?["xdp-headroom"] } == "256")
    await backend.kill()
    await frontend.kill()
  }

  @Test func aReleasedDomainEndsItsBackend() async throws {
    let device = try await DeviceFixture()
    let (backend, frontend) = (device.startBackend(), device.startFrontend())
    try await device.waitUntilConnected()
    await frontend.kill()
    device.memory.release(device.paths.frontendDomain)
    #expect(try await backend.task.value == .domainReleased)
    #expect(device.backend.calls == ["advertise", "connect", "disconnect"])
  }

  // MARK: Front-ends that other people wrote

  @Test func aFrontendThatClosesBeforeItConnectsIsAnswered() async throws {
    let device = try await DeviceFixture()
    let backend = device.startBackend()
    try await device.wait(.backend, .initWait)
    // Windows: a full cycle first, each step waits for the back-end's.
    try await device.play((.closing, .closing), (.closed, .closed), (.initialising, .initWait), (.connected, .connected))
    #expect(device.states(.backend) == [1, 2, 5, 6, 2, 4])
    await backend.kill()
  }

  @Test func aFrontendThatSkipsInitialisedAndClosingIsServed() async throws {
    let device = try await DeviceFixture()
    let backend = device.startBackend()
    try await device.wait(.backend, .initWait)
    try await device.play((.connected, .connected), (.closed, .closed))
    #expect(device.backend.calls == ["advertise", "connect", "disconnect"])
    await backend.kill()
  }

  @Test func aBackendIsNotKeptByAFrontendThatNeverCloses() async throws {
    let device = try await DeviceFixture()
    let backend = device.startBackend(timeouts: XenbusTimeouts(peer: .milliseconds(1)))
    try await device.wait(.backend, .initWait)
    try await device.write(.frontend, "state", "3")
    try await device.wait(.backend, .connected)
    backend.notices.stop()
    #expect(try await backend.task.value == .stopped)
    #expect(device.states(.backend) == [1, 2, 4, 5, 6])
  }

  @Test func aFrontendThatTogglesItsStateInALoopCostsOneConnectionATime() async throws {
    let device = try await DeviceFixture()
    let backend = device.startBackend()
    try await device.wait(.backend, .initWait)
    for number in 0..<2000 {
      try await device.write(.frontend, "state", ["4", "6", "1", "3", "5"][number % 5])
    }
    try await device.play((.closed, .closed), (.initialising, .initWait))
    let calls = device.backend.calls.filter { $0 != "advertise" }
    #expect(calls.count % 2 == 0)
    for (number, call) in calls.enumerated() { #expect(call == (number % 2 == 0 ? "connect" : "disconnect")) }
    await backend.kill()
  }

  // MARK: Bad beginnings

  @Test func aDeviceThatIsNotThereIsNamed() async throws {
    let paths = XenbusDevicePaths(kind: "vbd", device: 1, frontendDomain: DomainID(rawValue: 9))
    let backend = XenbusBackend(driver: RecordingBackend(), paths: paths, store: MemoryStore(), notices: XenbusNotices())
    await #expect(throws: XenbusError.deviceMissing(side: .backend, directory: paths.backend)) { try await backend.run() }
  }

  @Test func aPeerPathOutsideThePeersDomainIsRefused() async throws {
    let device = try await DeviceFixture()
    try await device.write(.frontend, "backend", "/local/domain/3/backend/vbd/7/51712")
    await #expect(
      throws: XenbusError.peerUnknown(
        side: .frontend, directory: device.paths.frontend, key: "backend", value: "/local/domain/3/backend/vbd/7/51712")
    ) { try await device.startFrontend().task.value }
  }

  @Test func aSecondDeviceInTheSamePlaceIsRefused() async throws {
    let device = try await DeviceFixture()
    await #expect(throws: XenbusError.deviceExists(device.paths.frontend)) {
      try await ToolstackDevice(paths: device.paths, store: device.store).create()
    }
  }
}
