import ArgumentParser
import LinuxSystem

/// `pvio backend block`: serves a disk to one domain until it is detached or a signal comes.
struct BackendBlockCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "block", abstract: "Serve a disk image to a domain.")

  @OptionGroup var common: CommonOptions

  @Option(help: ArgumentHelp("What to serve ('help' lists the keys).", valueName: "spec"))
  var disk: String

  @Option(help: "The domain to serve, by number or name.")
  var domain: String

  @Option(help: "The device there, such as xvda (default: the first that is free).")
  var device: String?

  @Flag(help: ArgumentHelp("End when the process that started this one ends.", visibility: .hidden))
  var exitWithParent = false

  @Option(help: ArgumentHelp("The processor (0-based) that serves the disk.", visibility: .hidden))
  var processor: Int?

  func run() async throws {
    let spec = try DiskSpec.parse(disk)
    try await BackendProcess(
      common: common, spec: .disk(spec), domain: domain, device: device, exitsWithParent: exitWithParent, loggerLabel: "pvio.backend"
    ).run { address, platform, store, logger in
      try await DiskService(address: address, spec: spec, directory: common.runDirectory, logger: logger, processor: processor)
        .run(platform: platform, store: store)
    }
  }
}
