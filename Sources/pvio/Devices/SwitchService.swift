import EventLoop
import LinuxSystem
import Logging
import NetBack
import NetEngine
import NetPackets
import NetTap
import PVDriver
import ProcessPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// The process of one switch: serves every vif whose back-end directory names the switch, as they come and go.
final class SwitchService {
  private let name: String
  private let directory: RunDirectory
  private let logger: Logger
  private let platform: ProcessPlatform
  private let store: XenStoreClient
  private let thread: EventLoopThread
  private let virtualSwitch: LoopConfined<VirtualSwitch>
  private var served: [String: ServedInterface] = [:]

  private struct ServedInterface {
    var supervisor: BackendSupervisor
    var task: Task<Void, Never>
  }

  /// How long a switch that ends by itself waits for another vif.
  private static let idlePatience = Duration.seconds(5)

  private init(
    name: String, directory: RunDirectory, logger: Logger, platform: ProcessPlatform, store: XenStoreClient, thread: EventLoopThread,
    virtualSwitch: LoopConfined<VirtualSwitch>
  ) {
    self.name = name
    self.directory = directory
    self.logger = logger
    self.platform = platform
    self.store = store
    self.thread = thread
    self.virtualSwitch = virtualSwitch
  }

  /// Makes the switch, and its uplink if there is to be one.
  static func start(
    name: String, uplink: NetSpec?, directory: RunDirectory, logger: Logger, platform: ProcessPlatform, store: XenStoreClient, processor: Int?
  ) async throws -> SwitchService {
    let thread: EventLoopThread
    do { thread = try EventLoopThread.start(name: "switch", processor: processor) } catch { throw CommandFailure("\(error)") }
    let virtualSwitch = try await thread.loop.run { [loop = thread.loop] () -> Result<LoopConfined<VirtualSwitch>, any Error> in
      Result {
        let made = try VirtualSwitch(name: name)
        if let uplink {
          let port = try uplink.makePort(on: loop)
          try made.connectUplink(port, SwitchPortConfiguration(vlan: uplink.vlan.map(UInt16.init)))
        }
        return LoopConfined(made, on: loop)
      }
    }.get()
    return SwitchService(
      name: name, directory: directory, logger: logger, platform: platform, store: store, thread: thread, virtualSwitch: virtualSwitch)
  }

  /// Serves until a signal comes; with `endsWhenIdle` also when there has been no vif for a while.
  func run(endsWhenIdle: Bool) async throws {
    let (wakeUps, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let isStopped = StopRequest()
    let signals = Task {
      _ = await Process.nextSignal()
      isStopped.raise()
      wake.yield()
    }
    let changes = try await store.watch(DeviceAddress.backends(of: .net))
    let watching = Task {
      for await _ in changes { wake.yield() }
    }
    let ticking = Task {
      while !Task.isCancelled {
        try? await Task.sleep(for: .seconds(1))
        wake.yield()
      }
    }
    defer { for task in [signals, watching, ticking] { task.cancel() } }
    var idleSince = ContinuousClock.now
    for await _ in wakeUps {
      if isStopped.isRaised { break }
      try await lookForInterfaces()
      if !served.isEmpty { idleSince = .now }
      if endsWhenIdle, ContinuousClock.now - idleSince > Self.idlePatience { break }
    }
    for interface in served.values { interface.supervisor.stop() }
    for interface in served.values { await interface.task.value }
    thread.stopAndJoin()
  }

  /// Begins to serve what has come, and forgets what has gone.
  private func lookForInterfaces() async throws {
    let devices = try await DeviceAddress.all(store).filter { $0.device.kind == .net }
    for address in devices where served[address.paths.backend] == nil {
      guard try await store.readIfPresent("\(address.paths.backend)/\(DeviceToolstack.switchKey)") == name else { continue }
      try await serve(address)
    }
    let present = Set(devices.map(\.paths.backend))
    for (path, interface) in served where !present.contains(path) {
      await interface.task.value
      served[path] = nil
    }
  }

  private func serve(_ address: DeviceAddress) async throws {
    let configuration = try await portConfiguration(address)
    let notices = XenbusNotices()
    let driver = try await NetBackendDriver(
      loop: thread.loop, platform: platform, notices: notices, configuration: NetBackConfiguration(), logger: logger
    ) { [virtualSwitch] _ in virtualSwitch.value.makePort(configuration) }
    let supervisor = BackendSupervisor(paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let files = directory.device(address.id)
    let task = Task { [logger, directory, store] in
      do {
        let lock = try await DeviceLock.take(address, directory)
        let status = Task { await NetStatusFile(path: files.backendStatus).keepWriting(driver) }
        let rate = Task { await NetRate(address: address, driver: driver, store: store).follow() }
        let report = await supervisor.run(driver)
        if report.exitCode != 0 { logger.error("\(report.text)") }
        status.cancel()
        rate.cancel()
        await driver.close()
        lock.release()
      } catch {
        logger.error("\(address.device) of domain \(address.domain): \(error)")
        await driver.close()
      }
    }
    served[address.paths.backend] = ServedInterface(supervisor: supervisor, task: task)
  }

  /// What the toolstack says of the port. The address is fixed: a guest cannot send as another one.
  private func portConfiguration(_ address: DeviceAddress) async throws -> SwitchPortConfiguration {
    let vlan = try await store.readIfPresent("\(address.paths.backend)/\(DeviceToolstack.vlanKey)").flatMap { UInt16($0) }
    let mac = try await store.readIfPresent("\(address.paths.backend)/\(NetifKeys.Backend.mac.name)").flatMap { MACAddress($0) }
    return SwitchPortConfiguration(vlan: vlan, address: mac)
  }
}
