import ArgumentParser
import DriverCommands

/// `pvio backend script ./my.sh`: a disk that a script reads and writes. The same as `backend block --disk script=./my.sh`.
struct BackendScriptCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "script", abstract: "Serve a disk that a script of yours reads and writes.",
    discussion: "The script gets 'open', 'size', 'read', 'write' and 'flush' as its first argument: see docs/scripted-back-ends.md.")

  @OptionGroup var common: CommonOptions

  @Option(help: "The domain to serve, by number or name.")
  var domain: String?

  @Option(help: "The device there, such as xvda (default: the first that is free).")
  var device: String?

  @Option(help: ArgumentHelp("Where a VMM connects (vhost-user).", valueName: "path"))
  var socketPath: String?

  @Option(help: ArgumentHelp("Further keys of the disk, such as readonly=on,iops=100.", valueName: "spec"))
  var disk: String?

  @Argument(help: "The program.")
  var script: String

  func run() async throws {
    var arguments = common.forwarded + ["--disk", "script=\(script)" + (disk.map { ",\($0)" } ?? "")]
    for (name, value) in [("--domain", domain), ("--device", device), ("--socket-path", socketPath), ("--pidfile", common.pidfile)] {
      if let value { arguments += [name, value] }
    }
    try await BackendBlockCommand.parse(arguments).run()
  }
}
