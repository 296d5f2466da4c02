import ArgumentParser
import DriverCommands

/// `pvio backend script ./my.sh`: a disk that a script reads and writes. The same as `backend block --disk script=./my.sh`.
struct BackendScriptCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "script", abstract: "Serve a disk that a script of yours reads and writes.",
    discussion: "The script gets 'open', 'size', 'read', 'write' and 'flush' as its first argument: see docs/scripted-back-ends.md.")

  @OptionGroup var place: BackendOptions

  @Option(help: ArgumentHelp("Where a VMM connects (vhost-user).", valueName: "path"))
  var socketPath: String?

  @Option(help: ArgumentHelp("Further keys of the disk, such as readonly=on,iops=100.", valueName: "spec"))
  var disk: String?

  @Argument(help: "The program.")
  var script: String

  func run() async throws {
    let arguments = ["--disk", "script=\(script)" + (disk.map { ",\($0)" } ?? "")] + (socketPath.map { ["--socket-path", $0] } ?? [])
    try await BackendBlockCommand.parse(arguments + place.forwarded).run()
  }
}
