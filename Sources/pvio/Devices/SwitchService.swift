import DriverCommands
import EventLoop
import LinuxSystem
import Logging
import NetBack
import NetEngine
import NetPackets
import NetTap
import NetVirtio
import PVDriver
import XenPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// The process of one switch: serves every vif whose back-end directory names the switch, as they come and go.
final class SwitchService {
  private let name: String
  private let directory: RunDirectory
  private let logger: Logger
  private let platform: any XenPlatform
  private let store: XenStoreClient
  private let thread: EventLoopThread
  private let virtualSwitch: LoopConfined<VirtualSwitch>
  private let uplink: NetSpec?
  /// How long a switch that ends by itself waits for another vif.
  private static let idlePatience = Duration.seconds(5)

  private init(
    name: String, directory: RunDirectory, logger: Logger, platform: any XenPlatform, store: XenStoreClient, thread: EventLoopThread,
    virtualSwitch: LoopConfined<VirtualSwitch>, uplink: NetSpec?
  ) {
    self.name = name
    self.directory = directory
    self.logger = logger
    self.platform = platform
    self.store = store
    self.thread = thread
    self.virtualSwitch = virtualSwitch
    self.uplink = uplink
  }

  /// Makes the switch, and its uplink if there is to be one.
  static func start(
    name: String, learns: Bool, uplink: NetSpec?, directory: RunDirectory, logger: Logger, platform: any XenPlatform, store: XenStoreClient,
    processor: Int?
  ) async throws -> SwitchService {
    let thread = try EventLoopThread.started("switch", processor: processor)
    let virtualSwitch = try await thread.loop.run { [loop = thread.loop] () -> Result<LoopConfined<VirtualSwitch>, any Error> in
      Result {
        let made = try VirtualSwitch(name: name, learns: learns)
        if let uplink {
          let port = try uplink.makePort(on: loop)
          try made.connectUplink(port, uplink.portConfiguration)
        }
        return LoopConfined(made, on: loop)
      }
    }.get()
    return SwitchService(
      name: name, directory: directory, logger: logger, platform: platform, store: store, thread: thread, virtualSwitch: virtualSwitch,
      uplink: uplink)
  }

  /// Serves until a signal comes; with `endsWhenIdle` also when there has been no vif for a while.
  func run(endsWhenIdle: Bool) async throws {
    let status = Task { [virtualSwitch, directory, name, uplink] in
      await StatusFile.keepWriting(to: directory.virtualSwitch(name).status) {
        await virtualSwitch.loop.run { SwitchStatus(virtualSwitch.value, name: name, uplink: uplink?.text) }
      }
    }
    let ending: Result<Void, any Error>
    do {
      try await DeviceFollower(.net, store: store, logger: logger).run(
        until: .bySignal(), idlePatience: endsWhenIdle ? Self.idlePatience : nil, begin: serve)
      ending = .success(())
    } catch {
      ending = .failure(error)
    }
    status.cancel()
    // Its file goes with the switch, and is not written once more after that.
    await status.value
    directory.virtualSwitch(name).removeStatus()
    try ending.get()
    thread.stopAndJoin()
  }

  /// Begins to serve an interface of this switch.
  private func serve(_ address: DeviceAddress) async throws -> DeviceFollower.Served? {
    guard try await store.readIfPresent("\(address.paths.backend)/\(DeviceToolstack.switchKey)") == name else { return nil }
    let configuration = try await portConfiguration(address)
    let recording = try await store.readIfPresent("\(address.paths.backend)/\(DeviceToolstack.recordingKey)")
    let makePort: @Sendable (EventLoop) throws -> NetPort = { [virtualSwitch] loop in
      let port = virtualSwitch.value.makePort(configuration)
      return try recording.map { try PcapRecorder.recording(port, to: $0, on: loop) } ?? port
    }
    if try await store.readIfPresent("\(address.paths.backend)/\(DeviceToolstack.transportKey)") == DeviceToolstack.vhostUser {
      return try await serveVMM(address, makePort)
    }
    let (platform, store, loop, logger) = (platform, store, thread.loop, logger)
    let service = DriverService(address: address, directory: directory, logger: logger)
    return .begin(address, directory, store, logger) { isStopped in
      let notices = XenbusNotices()
      var configuration = NetBackConfiguration()
      configuration.followsMulticastControl = true
      let driver = try await NetBackendDriver(
        loop: loop, platform: platform, notices: notices, configuration: configuration, logger: logger, port: makePort)
      return await service.run(net: driver, notices: notices, store: store, until: isStopped)
    }
  }

  /// Serves a VMM's guest at the switch: frames go between it and other guests as between any two.
  private func serveVMM(_ address: DeviceAddress, _ makePort: @escaping @Sendable (EventLoop) throws -> NetPort) async throws -> DeviceFollower.Served {
    let queues = try await store.readIfPresent("\(address.paths.backend)/\(DeviceToolstack.queueCountKey)").flatMap { Int($0) } ?? 1
    var settings = NetVirtioDevice.Settings()
    settings.queuePairCount = min(max(1, queues), 16)
    let service = VhostUserNetService(address: address, settings: settings, directory: directory, logger: logger)
    return .begin(address, directory, store, logger) { [store, loop = thread.loop] isStopped in
      try await service.run(store: store, loop: loop, isStopped: isStopped, makePort: makePort)
    }
  }

  /// What the toolstack says of the port. The address is fixed: a guest cannot send as another one.
  private func portConfiguration(_ address: DeviceAddress) async throws -> SwitchPortConfiguration {
    func key(_ name: String) async throws -> String? { try await store.readIfPresent("\(address.paths.backend)/\(name)") }
    return SwitchPortConfiguration(
      vlan: try await key(DeviceToolstack.vlanKey).flatMap { UInt16($0) }, trunk: try await key(DeviceToolstack.trunkKey).flatMap(VLANSet.init),
      address: try await key(NetifKeys.Backend.mac.name).flatMap(MACAddress.init))
  }
}
