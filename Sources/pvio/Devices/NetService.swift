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

/// One network interface being served by a process of its own: the driver, its life cycle, its status file, and the signals that end it.
struct NetService {
  let address: DeviceAddress
  let spec: NetSpec
  let directory: RunDirectory
  let logger: Logger
  /// The processor that the interface's thread keeps to; nil: any.
  var processor: Int?

  /// Serves until the device is detached, somebody asks for the end, or it cannot go on.
  func run(platform: any XenPlatform, store: XenStoreClient, isStopped: StopRequest) async throws -> BackendSupervisor.Report {
    let thread: EventLoopThread
    do { thread = try EventLoopThread.start(name: "net", processor: processor) } catch { throw CommandFailure("\(error)") }
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
    let supervisor = BackendSupervisor(paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let helpers = [
      Task { [logger] in
        guard await isStopped.wait() else { return }
        logger.info("finishing frames and closing")
        supervisor.stop(leavingConnected: driver.adoptsConnections)
      },
      Task { await NetStatusFile(path: directory.device(address.id).backendStatus).keepWriting { .init(await driver.status()) } },
      Task { await NetKeyWatch(address: address, interface: driver, store: store).follow() },
    ]
    let report = await supervisor.run(driver)
    for helper in helpers { helper.cancel() }
    await driver.close()
    if let keptInterface, !isStopped.isRaised { keptInterface.remove(logger) }
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
