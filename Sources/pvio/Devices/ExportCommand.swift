import ArgumentParser

/// `pvio export`: makes a domain's device reachable by other protocols.
struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Use a device as its domain, and pass it on.", subcommands: [ExportNBDCommand.self, ExportTapCommand.self, ExportConsoleCommand.self, ExportNinePCommand.self])
}
