import DriverCommands
import Foundation
import Logging
import PVDriver
import SimulatedPlatform
import Synchronization
import Testing
import XenInterface
import XenStoreClient
import Xenbus

/// What every back-end process does around its driver.
@Suite(.timeLimit(.minutes(5))) struct DriverServiceTests {
  /// A driver with nothing behind it.
  private final class Driver: BackendDriver {
    let adoptsConnections: Bool
    private let connected = Mutex(false)
    var isConnected: Bool { connected.withLock { $0 } }

    init(adoptsConnections: Bool) { self.adoptsConnections = adoptsConnections }

    func advertise() async throws -> [String: String] { [:] }
    func connect(frontend: XenbusDirectory) async throws -> [String: String] {
      connected.withLock { $0 = true }
      return [:]
    }
    func disconnect() async { connected.withLock { $0 = false } }
  }

  /// A device that is served, with a front-end that has connected.
  private final class Device {
    let driver: Driver
    let directory = RunDirectory(path: NSTemporaryDirectory() + "pvio-service-\(UUID().uuidString)")
    let address: DeviceAddress
    let isStopped = StopRequest()
    private(set) var serving: Task<BackendSupervisor.Report, Never>?
    private let store: XenStoreClient
    private let frontStore: XenStoreClient

    init(adoptsConnections: Bool) async throws {
      driver = Driver(adoptsConnections: adoptsConnections)
      let hypervisor = SimulatedHypervisor()
      let domain = DomainID(rawValue: 7)
      store = hypervisor.platform(for: .control).connectToStore()
      frontStore = hypervisor.platform(for: domain).connectToStore()
      address = DeviceAddress(domain: domain, device: try GuestDevice.parse("sum0", kind: DeviceKind("sum")), id: "sum")
      try await ToolstackDevice(paths: address.paths, store: XenbusClientStore(store)).create()
      try RunDirectory.create(directory.device(address.id).path)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory.path) }

    func serve(beside: [@Sendable () async -> Void] = []) async throws {
      let service = DriverService(address: address, directory: directory, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      serving = Task { [driver, store, isStopped] in
        await service.run(driver, notices: XenbusNotices(), store: store, until: isStopped, beside: beside) {
          var status = DriverStatus()
          status.connected = driver.isConnected
          return status
        }
      }
      try await wait(for: "2")
      try await frontStore.write("\(address.paths.frontend)/state", "4")
      try await wait(for: "4")
    }

    var state: String? { get async throws { try await store.readIfPresent("\(address.paths.backend)/state") } }

    private func wait(for state: String) async throws {
      while try await self.state != state { try await Task.sleep(for: .milliseconds(2)) }
    }
  }

  @Test func aFrontendStaysConnectedWhenItsBackendIsStoppedAndTheNextOneCanTakeUpItsRings() async throws {
    let device = try await Device(adoptsConnections: true)
    try await device.serve()
    device.isStopped.raise()
    #expect(await device.serving?.value.exitCode == 0)
    #expect(try await device.state == "4")
    #expect(!device.driver.isConnected)
  }

  @Test func aStoppedBackendThatNobodyCanSucceedClosesItsDevice() async throws {
    let device = try await Device(adoptsConnections: false)
    try await device.serve()
    device.isStopped.raise()
    #expect(await device.serving?.value.exitCode == 0)
    #expect(try await device.state == "6")
    #expect(!device.driver.isConnected)
  }

  @Test func theStatusFileSaysWhatTheDriverSaysOnceItIsConnected() async throws {
    let device = try await Device(adoptsConnections: false)
    try await device.serve()
    let path = device.directory.device(device.address.id).backendStatus
    while readJSON(DriverStatus.self, from: path)?.connected != true { try await Task.sleep(for: .milliseconds(10)) }
    device.isStopped.raise()
    _ = await device.serving?.value
  }

  @Test func whatGoesOnBesideEndsWithTheService() async throws {
    let device = try await Device(adoptsConnections: false)
    let (ended, end) = AsyncStream<Void>.makeStream()
    try await device.serve(beside: [
      {
        while !Task.isCancelled { try? await Task.sleep(for: .milliseconds(2)) }
        end.finish()
      }
    ])
    device.isStopped.raise()
    _ = await device.serving?.value
    for await _ in ended {}
  }
}
