import ArgumentParser
import BlockFront
import DriverCommands
import EventLoop
import LinuxSystem
import Logging
import NBDExport
import PVDriver
import ProcessPlatform
import SystemPackage
import XenInterface
import XenStoreClient
import Xenbus

/// `pvio export nbd`: a front-end process that serves its disk to NBD clients.
struct ExportNBDCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "nbd", abstract: "Serve a domain's disk to NBD clients on a Unix socket.")

  @OptionGroup var common: CommonOptions
  @Option(help: ArgumentHelp("The socket to listen on (default: nbd.sock of the device, under the run directory).", valueName: "path"))
  var socketPath: String?
  @Option(help: "Queues to ask the back-end for.") var queues = 4
  @Option(help: "Ring size to ask for, as log2 of pages.") var ringPageOrder = 2
  @Flag(help: ArgumentHelp("End when the process that started this one ends.", visibility: .hidden)) var exitWithParent = false
  @Argument(help: "The domain, by number or name.") var domain: String
  @Argument(help: "The device: xvda, 51712 or its id.") var device: String

  func validate() throws {
    guard (1...16).contains(queues) else { throw ValidationError("--queues \(queues): expected 1 to 16") }
    guard (0...4).contains(ringPageOrder) else { throw ValidationError("--ring-page-order \(ringPageOrder): expected 0 to 4") }
  }

  func run() async throws {
    Process.takeSignals()
    if exitWithParent { OwnedChildProcess.endWithParent(signal: .terminate) }
    let address = try await lookUp()
    let pidfile = try common.holdPIDFile()
    let lock = try await DeviceLock.takeFrontend(address, common.runDirectory)
    var configuration = BlockFrontConfiguration()
    configuration.queueCount = queues
    configuration.ringPageOrder = ringPageOrder
    let files = common.runDirectory.device(address.id)
    let export = NBDExportService(
      address: address, directory: common.runDirectory, socketPath: socketPath ?? files.nbdSocket, configuration: configuration,
      logger: common.logger("pvio.export"))
    defer {
      lock.release()
      _ = pidfile
    }
    try await export.run()
  }

  /// Names are resolved as the control domain; everything after that happens as the device's own domain.
  private func lookUp() async throws -> DeviceAddress {
    let platform = try DaemonConnection.platform(common.runDirectory)
    defer { platform.disconnect() }
    let store = try DaemonConnection.store(common.runDirectory)
    defer { store.close() }
    return try await DeviceAddress.find(device, .disk, in: DomainLookup.find(domain, platform), store)
  }
}
