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

  @OptionGroup var place: ExportOptions
  @Option(help: ArgumentHelp("The TAP interface (default: the device's name, such as vif0).", valueName: "name")) var name: String?
  @Option(help: ArgumentHelp("The network namespace it is in, by name or path.", valueName: "name")) var netns: String?
  @Option(help: "Queues to ask the back-end for.") var queues = 1

  func validate() throws {
    guard (1...16).contains(queues) else { throw ValidationError("--queues \(queues): expected 1 to 16") }
  }

  func run() async throws {
    try await place.use(.net) { address in
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
      try await TapExportService(life: place.life(of: address), configuration: configuration, tap: tap).run()
    }
  }
}

extension NetworkNamespace {
  /// By name, or by the path of a file when there is a slash in it.
  init(text: String) { self = text.contains("/") ? .path(text) : .named(text) }
}
