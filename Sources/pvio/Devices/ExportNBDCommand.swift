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

  @OptionGroup var place: ExportOptions
  @Option(help: ArgumentHelp("The socket to listen on (default: nbd.sock of the device, under the run directory).", valueName: "path"))
  var socketPath: String?
  @Option(help: "Queues to ask the back-end for.") var queues = 4
  @Option(help: "Ring size to ask for, as log2 of pages.") var ringPageOrder = 2

  func validate() throws {
    guard (1...16).contains(queues) else { throw ValidationError("--queues \(queues): expected 1 to 16") }
    guard (0...4).contains(ringPageOrder) else { throw ValidationError("--ring-page-order \(ringPageOrder): expected 0 to 4") }
  }

  func run() async throws {
    try await place.use(.disk) { address in
      var configuration = BlockFrontConfiguration()
      configuration.queueCount = queues
      configuration.ringPageOrder = ringPageOrder
      let life = place.life(of: address)
      try await NBDExportService(
        life: life, socketPath: socketPath ?? life.files.nbdSocket, configuration: configuration).run()
    }
  }
}
