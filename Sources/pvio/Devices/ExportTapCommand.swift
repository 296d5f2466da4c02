import ArgumentParser
import DriverCommands
import EventLoop
import LinuxSystem
import NetFront
import NetTap
import PVDriver
import ProcessPlatform
import XenInterface
import XenStoreClient

/// `pvio export tap`: a front-end process that shows its interface as a TAP interface.
struct ExportTapCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tap", abstract: "Show a domain's network interface as a TAP interface, in a network namespace if wanted.")

  @OptionGroup var common: CommonOptions
  @Option(help: ArgumentHelp("The TAP interface (default: the device's name, such as vif0).", valueName: "name")) var name: String?
  @Option(help: ArgumentHelp("The network namespace it is in, by name or path.", valueName: "name")) var netns: String?
  @Option(help: "Queues to ask the back-end for.") var queues = 1
  @Flag(help: ArgumentHelp("End when the process that started this one ends.", visibility: .hidden)) var exitWithParent = false
  @Argument(help: "The domain, by number or name.") var domain: String
  @Argument(help: "The device: vif0, 0 or its id.") var device: String

  func validate() throws {
    guard (1...16).contains(queues) else { throw ValidationError("--queues \(queues): expected 1 to 16") }
  }

  func run() async throws {
    Process.takeSignals()
    if exitWithParent { OwnedChildProcess.endWithParent(signal: .terminate) }
    let address = try await lookUp()
    guard let name = InterfaceName(name ?? address.device.name) else {
      throw CommandFailure.usage("--name \(name ?? ""): expected an interface name of 1 to 15 characters")
    }
    var tap = TapConfiguration(name)
    tap.namespace = netns.map(NetworkNamespace.init(text:))
    tap.queueCount = queues
    var configuration = NetFrontConfiguration()
    configuration.queueCount = queues
    // As many large frames as a ring holds, and those that are being read.
    configuration.transmitBufferCount = 24
    let pidfile = try common.holdPIDFile()
    let lock = try await DeviceLock.takeFrontend(address, common.runDirectory)
    defer {
      lock.release()
      _ = pidfile
    }
    try await TapExportService(
      address: address, directory: common.runDirectory, configuration: configuration, tap: tap, logger: common.logger("pvio.export")
    ).run()
  }

  /// Names are resolved as the control domain; everything after that happens as the device's own domain.
  private func lookUp() async throws -> DeviceAddress {
    let platform = try DaemonConnection.platform(common.runDirectory)
    defer { platform.disconnect() }
    let store = try DaemonConnection.store(common.runDirectory)
    defer { store.close() }
    return try await DeviceAddress.find(device, .net, in: DomainLookup.find(domain, platform), store)
  }
}

extension NetworkNamespace {
  /// By name, or by the path of a file when there is a slash in it.
  init(text: String) { self = text.contains("/") ? .path(text) : .named(text) }
}
