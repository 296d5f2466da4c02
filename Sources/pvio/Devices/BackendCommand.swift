import ArgumentParser
import DriverCommands

/// `pvio backend`: one back-end process by itself.
struct BackendCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backend", abstract: "Serve one device from this process.",
    subcommands: Drivers.all.map(\.backend) + [BackendScriptCommand.self])
}
