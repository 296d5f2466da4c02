import EventLoop
import LinuxSystem
import NetBack
import NetEngine
import NetFront
import NetPackets
import NetTap
import SimulatedPlatform
import Synchronization
import TapExport
import XenInterface
import XenStoreClient
import XenStoreCore
import Xenbus

/// A vif with both real ends and a real store: `t0` in the first namespace is the guest's side, `h0` in the second the host's.
final class ExportedVif: Sendable {
  let hypervisor = SimulatedHypervisor()
  let store: XenbusClientStore
  let paths = XenbusDevicePaths(kind: "vif", device: 0, frontendDomain: DomainID(rawValue: 7))
  let frontThread: EventLoopThread
  let frontend: NetFrontend
  let export: TapExport
  private let frontNotices = XenbusNotices()
  private let frontLife: Task<XenbusEnding, any Error>
  private let host: TapConfiguration

  init(_ sandbox: Sandbox, queueCount: Int = 1, bufferCount: Int = 24) async throws {
    let service = XenStoreInMemoryService()
    let (near, far) = XenStoreLoopbackTransport.pair()
    let id = service.connect(domain: .control, privileged: true, deliver: { try? far.send($0) }, close: { far.close() })
    far.start(receive: { service.receive($0, from: id) }, closed: { service.disconnect(id) })
    let client = XenStoreClient(transport: near)
    try await client.introduce(DomainID(rawValue: 7))
    store = XenbusClientStore(client)
    let toolstack = ToolstackDevice(paths: paths, store: store)
    try await toolstack.create(frontendKeys: ["handle": "0"], backendKeys: ["handle": "0"])

    frontThread = try EventLoopThread.start(name: "front")
    var configuration = NetFrontConfiguration()
    configuration.queueCount = queueCount
    configuration.transmitBufferCount = bufferCount
    frontend = NetFrontend(on: frontThread.loop, configuration: configuration)
    export = try await TapExport.start(frontend, sandbox.configuration("t0", in: 0, queueCount: queueCount))
    host = sandbox.configuration("h0", in: 1, queueCount: queueCount)
    let driver = NetFrontendDriver(
      frontend, address: nil, platform: hypervisor.platform(for: paths.frontendDomain), notices: frontNotices)
    let life = XenbusFrontend(driver: driver, paths: paths, store: store, notices: frontNotices)
    frontLife = Task { try await life.run() }
  }

  /// One process of the back-end.
  struct Backend: Sendable {
    let platform: SimulatedPlatform
    let driver: NetBackendDriver
    let notices: XenbusNotices
    let thread: EventLoopThread
    let life: Task<XenbusEnding, any Error>
  }

  func startBackend(queueCount: Int = 1) async throws -> Backend {
    let notices = XenbusNotices()
    let platform = hypervisor.platform(for: .control)
    let thread = try EventLoopThread.start(name: "back")
    var configuration = NetBackConfiguration()
    configuration.maximumQueueCount = queueCount
    let driver = try await NetBackendDriver(loop: thread.loop, platform: platform, notices: notices, configuration: configuration) {
      [host] loop in try TapPort(TapInterface.reopen(host), on: loop)
    }
    let life = Task { [paths, store] in
      try await XenbusBackend(driver: driver, paths: paths, store: store, notices: notices).run()
    }
    _ = await frontend.waitUntilConnected()
    return Backend(platform: platform, driver: driver, notices: notices, thread: thread, life: life)
  }

  /// Ends a back-end in good order.
  func stop(_ backend: Backend) async {
    backend.notices.stop()
    _ = await backend.life.result
    await backend.driver.close()
    backend.thread.stopAndJoin()
  }

  /// The back-end's process dies at once.
  func kill(_ backend: Backend) async {
    backend.life.cancel()
    hypervisor.kill(backend.platform)
    _ = await backend.life.result
    await backend.driver.close()
    backend.thread.stopAndJoin()
  }

  /// Ends the guest's side. Returns what it has left behind, which is nothing.
  func finish() async -> ResourceLedger.Account {
    frontNotices.stop()
    _ = await frontLife.result
    await frontend.close()
    await export.stop()
    frontThread.stopAndJoin()
    return hypervisor.ledger[paths.frontendDomain]
  }
}
