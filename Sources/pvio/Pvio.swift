import ArgumentParser
import DriverCommands

/// The `pvio` command: the place where concrete platforms, stores and engines are put together.
@main
struct Pvio: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pvio",
    abstract: "Paravirtual devices over Xen-format rings, served from isolated processes.",
    version: "0.1.0",
    subcommands: [
      DaemonCommand.self, RunCommand.self, BackendCommand.self, DomainCommand.self, AttachCommand.self, DetachCommand.self,
      ResizeCommand.self, ListCommand.self, ExportCommand.self, StoreCommand.self, StatusCommand.self, TopCommand.self, MetricsCommand.self,
      TraceCommand.self, DoctorCommand.self, VchanCommand.self, Bench.self, NewDriverCommand.self, CompletionsCommand.self,
    ] + Drivers.all.flatMap(\.commands))

  /// Exit codes are part of the interface: 0 done, 1 failed, 2 usage. Errors are one line on stderr.
  static func main() async {
    await CommandProgram.run(self, name: "pvio", arguments: arguments)
  }

  /// What was asked for. Called by the name of a back-end program, this one is that command.
  private static var arguments: [String] {
    let given = CommandLine.arguments
    let own = Array(given.dropFirst())
    return switch given.first?.split(separator: "/").last {
    case "pvio-backend-block": ["backend", "block"] + own
    case "pvio-backend-net": ["backend", "net"] + own
    default: own
    }
  }
}
