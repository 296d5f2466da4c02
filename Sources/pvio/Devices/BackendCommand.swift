import ArgumentParser

/// `pvio backend`: one back-end process by itself.
struct BackendCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backend", abstract: "Serve one device from this process.", subcommands: [BackendBlockCommand.self, BackendNetCommand.self])
}
