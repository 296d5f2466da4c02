public import ArgumentParser
import Glibc
import PVDriver

/// How a command of ours runs and ends: exit codes are part of the interface, and an error is one line on stderr.
public enum CommandProgram {
  /// Runs `root` with `arguments`. Exit codes: 0 done, 1 failed, 2 usage. `name` is what errors begin with.
  public static func run(_ root: any ParsableCommand.Type, name: String, arguments: [String]) async {
    do {
      Process.ignoreBrokenPipes()
      var command = try root.parseAsRoot(arguments)
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      finish(root, name, error)
    }
  }

  private static func finish(_ root: any ParsableCommand.Type, _ name: String, _ error: any Error) -> Never {
    if let help = error as? HelpRequest {
      print(help.text)
      Glibc.exit(0)
    }
    // A command that has said everything, or passes on the exit code of another.
    if let code = error as? ExitCode { Glibc.exit(code.rawValue) }
    if let failure = error as? CommandFailure {
      Process.writeError("\(name): \(failure.message)\n")
      Glibc.exit(failure.exitCode)
    }
    let code = root.exitCode(for: error)
    if code == .success {
      print(root.fullMessage(for: error))
      Glibc.exit(0)
    }
    if code == .validationFailure {
      Process.writeError("\(name): \(root.message(for: error)) (see '\(name) help')\n")
      Glibc.exit(2)
    }
    Process.writeError("\(name): \(root.message(for: error))\n")
    Glibc.exit(code.rawValue == 0 ? 1 : code.rawValue)
  }
}

/// A command of drivers only: what a package of its own has instead of `pvio`.
///
/// ```swift
/// @main struct MyDrivers: DriverProgram { static let drivers: [DriverRegistration] = [.hello] }
/// ```
/// `backend KIND` serves a device, as `pvio backend` does; each driver's own commands use one. `pvio list`, `status` and `detach`
/// know the devices as they do every other.
public protocol DriverProgram: AsyncParsableCommand {
  static var drivers: [DriverRegistration] { get }
}

extension DriverProgram {
  public static var configuration: CommandConfiguration {
    CommandConfiguration(
      abstract: "Paravirtual devices of kind \(drivers.map(\.kind.name).joined(separator: ", ")).",
      subcommands: [DriverProgramBackend<Self>.self] + drivers.flatMap(\.commands))
  }

  public static func main() async {
    await CommandProgram.run(self, name: _commandName, arguments: Array(CommandLine.arguments.dropFirst()))
  }
}

/// `backend` of a program of drivers.
public struct DriverProgramBackend<Program: DriverProgram>: AsyncParsableCommand {
  public static var configuration: CommandConfiguration {
    CommandConfiguration(commandName: "backend", abstract: "Serve one device from this process.", subcommands: Program.drivers.map(\.backend))
  }
  public init() {}
}
