import PVDriver
import Synchronization
import Testing
import XenInterface
import Xenbus

@Suite(.timeLimit(.minutes(5))) struct SupervisorTests {
  @Test func aProcessThatIsStoppedDrainsClosesAndExitsWithZero() async throws {
    let device = try await DeviceFixture()
    let supervisor = BackendSupervisor(paths: device.paths, store: device.store, notices: XenbusNotices())
    let report = Task { await supervisor.run(device.backend) }
    let frontend = device.startFrontend()
    try await device.waitUntilConnected()
    supervisor.stop()
    #expect(await report.value == .init(exitCode: 0, text: "vbd 51712 of domain 7: stopped"))
    #expect(device.memory[device.paths.backend + "/state"] == "6")
    #expect(device.backend.state.withLock { !$0.isConnected })
    await frontend.kill()
  }

  @Test func aProcessThatCannotServeExitsWithOneAndSaysWhy() async throws {
    let device = try await DeviceFixture()
    device.backend.state.withLock { $0.advertiseFailure = "/disk.img: no such file" }
    let supervisor = BackendSupervisor(paths: device.paths, store: device.store, notices: XenbusNotices())
    #expect(await supervisor.run(device.backend) == .init(exitCode: 1, text: "vbd 51712 of domain 7: /disk.img: no such file"))
  }

  @Test func kindsAreFoundByEachOfTheirNames() {
    let kinds = DeviceKinds([.disk, .net])
    #expect(kinds.named("disk") == .disk)
    #expect(kinds.inStore("vif") == .net)
    #expect(kinds.named("vbd") == nil)
  }
}
