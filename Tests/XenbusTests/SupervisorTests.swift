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

  @Test func figuresOfEndedConnectionsAreKept() {
    let board = StatisticsBoard()
    var queue = DeviceStatistics()
    queue.read.finish(byteCount: 4096, nanoseconds: 10)
    queue.read.fail(nanoseconds: 5)
    queue.inFlightCount = 3
    board.post(queue, queue: 0)
    board.post(queue, queue: 1)
    #expect(board.total.inFlightCount == 6)
    board.endConnection()
    board.post(queue, queue: 0)
    #expect(board.total.read.count == 6)
    #expect(board.total.read.byteCount == 3 * 4096)
    #expect(board.total.read.errorCount == 3)
    #expect(board.total.read.nanoseconds == 45)
    #expect(board.total.inFlightCount == 3)
  }

  @Test func kindsAreFoundByEachOfTheirNames() {
    let kinds = DeviceKinds([.disk, .net])
    #expect(kinds.named("disk") == .disk)
    #expect(kinds.inStore("vif") == .net)
    #expect(kinds.named("vbd") == nil)
  }
}
