import ArgumentParser
import DriverCommands
import Glibc

/// The `pvio` command: the place where concrete platforms, stores and engines are put together.
@main
struct Pvio: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pvio",
    abstract: "Paravirtual block devices over Xen-format rings, served from isolated processes.",
    version: "0.1.0",
    subcommands: [
      DaemonCommand.self, RunCommand.self, BackendCommand.self, DomainCommand.self, AttachCommand.self, DetachCommand.self,
      ResizeCommand.self, ListCommand.self, ExportCommand.self, StoreCommand.self, StatusCommand.self, DoctorCommand.self, Bench.self,
      CompletionsCommand.self,
    ] + Drivers.all.flatMap(\.commands))

  /// Exit codes are part of the interface: 0 done, 1 failed, 2 usage. Errors are one line on stderr.
  static func main() async {
    do {
      Process.ignoreBrokenPipes()
      var command = try parseAsRoot(arguments)
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      finish(error)
    }
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

  private static func finish(_ error: any Error) -> Never {
    if let help = error as? HelpRequest {
      print(help.text)
      Glibc.exit(0)
    }
    // A command that has said everything, or passes on the exit code of another.
    if let code = error as? ExitCode { Glibc.exit(code.rawValue) }
    if let failure = error as? CommandFailure {
      Process.writeError("pvio: \(failure.message)\n")
      Glibc.exit(failure.exitCode)
    }
    let code = exitCode(for: error)
    if code == .success {
      print(fullMessage(for: error))
      Glibc.exit(0)
    }
    if code == .validationFailure {
      Process.writeError("pvio: \(message(for: error)) (see 'pvio help')\n")
      Glibc.exit(2)
    }
    Process.writeError("pvio: \(message(for: error))\n")
    Glibc.exit(code.rawValue == 0 ? 1 : code.rawValue)
  }
}
