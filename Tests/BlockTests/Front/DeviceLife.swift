import BlockBack
import BlockEngine
import BlockFront
import EventLoop
import SimulatedPlatform
import XenInterface
import XenStoreClient
import XenStoreCore
import Xenbus

/// A block device with both real ends and a real store, each end as if it were a process.
final class DeviceLife: Sendable {
  let hypervisor = SimulatedHypervisor()
  let store: XenbusClientStore
  let toolstack: ToolstackDevice
  let paths = XenbusDevicePaths(kind: "vbd", device: 51712, frontendDomain: DomainID(rawValue: 7))
  let frontThread: EventLoopThread
  let disk: BlockFrontend

  init(configuration: BlockFrontConfiguration = BlockFrontConfiguration()) async throws {
    let service = XenStoreInMemoryService()
    let (near, far) = XenStoreLoopbackTransport.pair()
    let id = service.connect(domain: .control, privileged: true, deliver: { try? far.send($0) }, close: { far.close() })
    far.start(receive: { service.receive($0, from: id) }, closed: { service.disconnect(id) })
    let client = XenStoreClient(transport: near)
    try await client.introduce(DomainID(rawValue: 7))
    store = XenbusClientStore(client)
    toolstack = ToolstackDevice(paths: paths, store: store)
    try await toolstack.create(frontendKeys: ["virtual-device": "51712"], backendKeys: ["mode": "w"])
    frontThread = try EventLoopThread.start(name: "front")
    disk = BlockFrontend(on: frontThread.loop, configuration: configuration)
  }

  /// Runs the front-end until its life ends.
  func startFrontend() -> Task<XenbusEnding, any Error> {
    let notices = XenbusNotices()
    let platform = hypervisor.platform(for: paths.frontendDomain)
    let driver = BlockFrontendDriver(disk, platform: platform, notices: notices)
    return Task { [paths, store] in
      try await XenbusFrontend(driver: driver, paths: paths, store: store, notices: notices).run()
    }
  }

  /// One process of the back-end.
  struct Backend: Sendable {
    let platform: SimulatedPlatform
    let driver: BlockBackendDriver
    let notices: XenbusNotices
    let thread: EventLoopThread
    let life: Task<XenbusEnding, any Error>
  }

  func startBackend(byteCount: UInt64, configuration: BlockBackendConfiguration = BlockBackendConfiguration()) async throws -> Backend {
    let notices = XenbusNotices()
    let platform = hypervisor.platform(for: .control)
    let thread = try EventLoopThread.start(name: "back")
    let driver = try await BlockBackendDriver.open(
      BlockStoreSpec(.memory(byteCount: byteCount)), loop: thread.loop, platform: platform, notices: notices, configuration: configuration)
    let life = Task { [paths, store] in
      try await XenbusBackend(driver: driver, paths: paths, store: store, notices: notices).run()
    }
    return Backend(platform: platform, driver: driver, notices: notices, thread: thread, life: life)
  }

  /// The back-end's process dies at once: its ports close, nothing is written any more.
  func kill(_ backend: Backend) {
    backend.life.cancel()
    hypervisor.kill(backend.platform)
  }

  /// After its life: the loop of a back-end ends.
  func finish(_ backend: Backend) async {
    await backend.driver.close()
    backend.thread.stopAndJoin()
  }
}
