import BlockBack
import BlockFront
import BlockTestSupport
import EventLoop
import SimulatedPlatform
import Testing
import XenInterface
import Xenbus

/// Both real ends, a real store.
@Suite struct FrontEndLifeTests {
  static let persistences: [Bool] = [false, true]

  @Test(arguments: persistences)
  func bothEndsConnectServeAndLeaveNothing(persistent: Bool) async throws {
    var front = BlockFrontConfiguration()
    front.queueCount = 2
    let life = try await DeviceLife(configuration: front)
    var back = BlockBackendConfiguration()
    back.persistentGrants = persistent
    let backend = try await life.startBackend(byteCount: 32 << 20, configuration: back)
    let frontend = life.startFrontend()
    let geometry = try await life.disk.waitUntilConnected()
    #expect(geometry.byteCount == 32 << 20)
    let states = (try await life.store.read(life.paths.frontend + "/state"), try await life.store.read(life.paths.backend + "/state"))
    #expect(states.1 == "4")
    #expect(try await life.store.read(life.paths.frontend + "/queue-1/ring-ref0") != nil)

    let bytes = pattern(9 << 20, seed: 4)
    try await life.disk.write(bytes, at: 1 << 20, durably: true)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for part in 0..<72 {
        group.addTask {
          try await life.disk.read(at: UInt64(1 << 20 + part << 17), byteCount: 1 << 17) == Array(bytes[part << 17..<(part + 1) << 17])
        }
      }
      for try await isRight in group { #expect(isRight) }
    }
    #expect(await life.disk.counters().failedRequests == 0)

    #expect(try await life.toolstack.remove() == nil)
    #expect(try await frontend.value == .removed)
    #expect(try await backend.life.value == .removed)
    await life.disk.close()
    await life.finish(backend)
    life.frontThread.stopAndJoin()
    #expect(life.hypervisor.ledger.leaks == "")
  }

  @Test func aNewBackEndTakesOverFromADeadOne() async throws {
    let life = try await DeviceLife()
    let first = try await life.startBackend(byteCount: 8 << 20)
    let frontend = life.startFrontend()
    _ = try await life.disk.waitUntilConnected()
    try await life.disk.write(pattern(1 << 20, seed: 1), at: 0)
    var reports = life.disk.reports().makeAsyncIterator()
    life.kill(first)
    guard case .backendLost = await reports.next() else {
      Issue.record("the loss was not reported")
      return
    }
    async let waiting: Void = life.disk.write(pattern(2 << 20, seed: 2), at: 0)
    let second = try await life.startBackend(byteCount: 16 << 20)
    try await waiting
    #expect(try await life.disk.read(at: 0, byteCount: 2 << 20) == pattern(2 << 20, seed: 2))
    guard case .reconnected(let geometry) = await reports.next() else {
      Issue.record("the connection was not reported")
      return
    }
    #expect(geometry.byteCount == 16 << 20)
    try await life.toolstack.remove()
    #expect(try await frontend.value == .removed)
    _ = try await second.life.value
    await life.disk.close()
    await life.finish(second)
    await life.finish(first)
    life.frontThread.stopAndJoin()
    #expect(life.hypervisor.ledger.leaks == "")
  }

  @Test func aResizeReachesTheFrontEnd() async throws {
    let life = try await DeviceLife()
    let backend = try await life.startBackend(byteCount: 8 << 20)
    let frontend = life.startFrontend()
    _ = try await life.disk.waitUntilConnected()
    var reports = life.disk.reports().makeAsyncIterator()
    try await backend.driver.resize(byteCount: 24 << 20)
    guard case .changed(let geometry) = await reports.next() else {
      Issue.record("the new size was not reported")
      return
    }
    #expect(geometry.byteCount == 24 << 20)
    try await life.disk.write(pattern(1 << 20, seed: 6), at: 23 << 20)
    #expect(try await life.disk.read(at: 23 << 20, byteCount: 1 << 20) == pattern(1 << 20, seed: 6))
    try await life.toolstack.remove()
    _ = try await frontend.value
    _ = try await backend.life.value
    await life.disk.close()
    await life.finish(backend)
    life.frontThread.stopAndJoin()
    #expect(life.hypervisor.ledger.leaks == "")
  }
}
