import Synchronization
import Testing
import XenInterface
import Xenbus

/// Back-ends that come and go while a front-end stays connected, as on a Xen host; and front-ends there that hand a device over.
@Suite(.timeLimit(.minutes(5))) struct AdoptionTests {
  private let adopting = RecordingBackend(adoptsConnections: true)

  /// A device whose front-end connected to a process that is gone.
  private func deviceLeftConnected() async throws -> DeviceFixture {
    let device = try await DeviceFixture()
    let first = device.startBackend(RecordingBackend(adoptsConnections: true))
    try await device.wait(.backend, .initWait)
    try await device.play((.initialised, .connected), (.connected, nil))
    first.notices.leave()
    #expect(try await first.task.value == .stopped)
    #expect(device.memory[device.paths.backend + "/state"] == "4")
    return device
  }

  @Test func aBackendThatLeavesLetsGoOfEverythingAndWritesNothing() async throws {
    let driver = RecordingBackend(adoptsConnections: true)
    let device = try await DeviceFixture()
    let backend = device.startBackend(driver)
    try await device.wait(.backend, .initWait)
    try await device.write(.frontend, "state", "4")
    try await device.wait(.backend, .connected)
    let before = device.memory.history.count
    backend.notices.leave()
    #expect(try await backend.task.value == .stopped)
    #expect(driver.calls == ["advertise", "connect", "disconnect"])
    #expect(device.memory.history.count == before)
  }

  @Test func theNextBackendTakesUpTheLiveRings() async throws {
    let device = try await deviceLeftConnected()
    let next = device.startBackend(adopting)
    try await eventually { adopting.calls == ["connect"] }
    #expect(device.states(.backend) == [1, 2, 4])
    #expect(adopting.state.withLock { $0.seen?["state"] } == "4")
    // From here on it is as any other: the front-end can close.
    try await device.play((.closing, .closing), (.closed, .closed))
    #expect(adopting.calls == ["connect", "disconnect"])
    await next.kill()
  }

  @Test func whatTheDeviceServesIsAwaitedBeforeLiveRingsAreTakenUp() async throws {
    let device = try await deviceLeftConnected()
    adopting.state.withLock { $0.waitsFor = ("hotplug-status", "connected") }
    let next = device.startBackend(adopting)
    try await device.write(.backend, "other", "1")
    #expect(adopting.calls == [])
    try await device.write(.backend, "hotplug-status", "connected")
    try await eventually { adopting.calls == ["connect"] }
    await next.kill()
  }

  @Test func liveRingsThatCannotBeTakenUpCloseTheDevice() async throws {
    let device = try await deviceLeftConnected()
    adopting.state.withLock { $0.connectFailure = "ring-ref is not granted" }
    let next = device.startBackend(adopting)
    try await device.wait(.backend, .closed)
    #expect(device.memory[device.paths.error(of: .backend)]?.contains("ring-ref is not granted") == true)
    await next.kill()
  }

  @Test func aDriverThatCannotAdoptClosesWhatItFinds() async throws {
    let device = try await deviceLeftConnected()
    let next = device.startBackend(RecordingBackend())
    try await device.wait(.backend, .closed)
    await next.kill()
  }

  @Test(arguments: ["1", "5", "6"]) func aFrontendThatIsNotConnectedAnyMoreBeginsAgain(state: String) async throws {
    let device = try await deviceLeftConnected()
    try await device.write(.frontend, "state", state)
    let next = device.startBackend(adopting)
    if state == "5" {
      try await device.wait(.backend, .closed)
      try await device.write(.frontend, "state", "6")
    }
    try await device.write(.frontend, "state", "1")
    try await device.wait(.backend, .initWait)
    #expect(!adopting.calls.contains("connect"))
    await next.kill()
  }

  // MARK: Front-ends that hand a device over

  /// pvgrub and MiniOS: a boot loader connects, closes in order, and the kernel that it starts connects.
  @Test func aBootLoaderHandsItsDiskToTheKernel() async throws {
    let device = try await DeviceFixture()
    let backend = device.startBackend()
    for _ in 0..<2 {
      try await device.wait(.backend, .initWait)
      try await device.play((.initialised, .connected), (.connected, nil), (.closing, .closing), (.closed, .closed), (.initialising, nil))
    }
    try await device.wait(.backend, .initWait)
    #expect(device.states(.backend) == [1, 2, 4, 5, 6, 2, 4, 5, 6, 2])
    await backend.kill()
  }

  /// kexec: the new kernel finds the back-end connected, and closes what the old one had before it begins.
  @Test func aKernelAfterKexecClosesWhatTheOldOneHad() async throws {
    let device = try await DeviceFixture()
    let backend = device.startBackend()
    try await device.wait(.backend, .initWait)
    try await device.play((.initialised, .connected), (.closing, .closing), (.closed, .closed), (.initialising, .initWait), (.initialised, .connected))
    #expect(device.backend.calls == ["advertise", "connect", "disconnect", "advertise", "connect"])
    await backend.kill()
  }

  private func eventually(_ condition: () -> Bool) async throws {
    while !condition() { try await Task.sleep(for: .milliseconds(2)) }
  }
}
