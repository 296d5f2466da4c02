import ArgumentParser
import LinuxSystem
import PVDriver
import ProcessPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// `pvio backend net`: serves a network interface to one domain until it is detached or a signal comes.
struct BackendNetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "net", abstract: "Connect a domain's network interface to a TAP interface or a switch.")

  @OptionGroup var common: CommonOptions

  @Option(help: ArgumentHelp("What to connect it to ('help' lists the keys).", valueName: "spec"))
  var net: String

  @Option(help: "The domain to serve, by number or name.")
  var domain: String

  @Option(help: "The interface there, such as vif0 (default: the first that is free).")
  var device: String?

  @Flag(help: ArgumentHelp("End when the process that started this one ends.", visibility: .hidden))
  var exitWithParent = false

  @Option(help: ArgumentHelp("The processor (0-based) that serves the interface.", visibility: .hidden))
  var processor: Int?

  func run() async throws {
    let spec = try NetSpec(net)
    try await BackendProcess(
      common: common, spec: .net(spec), domain: domain, device: device, exitsWithParent: exitWithParent, loggerLabel: "pvio.backend"
    ).run { address, platform, store, logger in
      try await NetService(address: address, spec: spec, directory: common.runDirectory, logger: logger, processor: processor)
        .run(platform: platform, store: store)
    }
  }
}
