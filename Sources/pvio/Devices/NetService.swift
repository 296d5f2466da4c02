import DriverCommands
import EventLoop
import LinuxSystem
import Logging
import NetBack
import NetEngine
import NetInterface
import NetTap
import PVDriver
import SystemPackage
import XenInterface
import XenPlatform
import XenStoreClient
import Xenbus

/// One network interface being served by a thread of its own.
struct NetService {
  let address: DeviceAddress
  let spec: NetSpec
  let directory: RunDirectory
  let logger: Logger
  /// The processor that the interface's thread keeps to; nil: any.
  var processor: Int?

  /// Serves until the device is detached, somebody asks for the end, or it cannot go on.
  func run(platform: any XenPlatform, store: XenStoreClient, isStopped: StopRequest) async throws -> BackendSupervisor.Report {
    let thread = try EventLoopThread.started("net", processor: processor)
    defer { thread.stopAndJoin() }
    let notices = XenbusNotices()
    var configuration = NetBackConfiguration()
    configuration.maximumQueueCount = spec.queueCount
    configuration.followsMulticastControl = true
    let keptInterface = platform.capabilities.reportsClosedPeers ? nil : try await KeptInterface.note(spec, address, store)
    let driver: NetBackendDriver
    do {
      driver = try await NetBackendDriver(
        loop: thread.loop, platform: platform, notices: notices, configuration: configuration, logger: logger
      ) { [spec] loop in try spec.makePort(on: loop, keepsInterface: keptInterface != nil) }
    } catch {
      throw CommandFailure("\(error)")
    }
    let report = await DriverService(address: address, directory: directory, logger: logger).run(
      net: driver, notices: notices, store: store, until: isStopped)
    if let keptInterface, !isStopped.isRaised { keptInterface.remove(logger) }
    return report
  }
}

extension DriverService {
  /// The same for a network interface, whose keys may change meanwhile. Its port is closed after that.
  func run(
    net driver: NetBackendDriver, notices: XenbusNotices, store: XenStoreClient, until isStopped: StopRequest
  ) async -> BackendSupervisor.Report {
    let keys = NetKeyWatch(address: address, interface: driver, store: store)
    let report = await run(driver, notices: notices, store: store, until: isStopped, beside: [{ await keys.follow() }]) {
      NetStatus(await driver.status())
    }
    await driver.close()
    return report
  }
}

extension NetSpec {
  /// What the vif is connected to. Throws when it cannot be had, with a line that says why.
  /// - Parameter keepsInterface: a TAP interface stays when this process ends.
  func makePort(on loop: EventLoop, keepsInterface: Bool = false) throws -> NetPort {
    let port = try makeBarePort(on: loop, keepsInterface)
    return try recording.map { try PcapRecorder.recording(port, to: $0, on: loop) } ?? port
  }

  private func makeBarePort(on loop: EventLoop, _ keepsInterface: Bool) throws -> NetPort {
    switch backing {
    case .null: return NullPort()
    case .virtualSwitch(let name): throw CommandFailure("switch \(name) is served by a process of its own: pvio backend net --switch \(name)")
    case .packet(let name):
      let interface = try PacketInterface.open(name, in: namespace.map(NetworkNamespace.init(text:)))
      if let mtu, mtu > interface.mtu {
        throw CommandFailure("interface \(name) has an MTU of \(interface.mtu) and \(mtu) was asked for; use mtu=\(interface.mtu), or set the interface's")
      }
      return PacketPort(interface, on: loop)
    case .tap(let name):
      var configuration = TapConfiguration(name)
      configuration.namespace = namespace.map(NetworkNamespace.init(text:))
      configuration.queueCount = queueCount
      configuration.mtu = mtu
      if keepsInterface { configuration.isPersistent = true }
      return try TapPort(TapInterface.open(configuration), guestAddress: mac, on: loop)
    }
  }
}

extension PcapRecorder {
  /// The port with a recorder before it. Closes the port when the file cannot be written, with a line that says why.
  static func recording(_ port: NetPort, to path: String, on loop: EventLoop) throws -> PcapRecorder {
    do throws(Errno) {
      return PcapRecorder(port, to: try PcapFile(path: path), on: loop)
    } catch {
      port.close()
      throw CommandFailure("cannot record to \(path): \(error)")
    }
  }
}
