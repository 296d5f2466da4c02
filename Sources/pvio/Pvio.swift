import ArgumentParser
import Glibc
import LinuxSystem

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
    ])

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

/// What belongs to the whole process.
enum Process {
  private static let signals = try? TerminationSignals()

  /// From now on SIGINT, SIGTERM and SIGHUP wait to be asked for. Commands that clean up call it first; the others just end.
  static func takeSignals() { _ = signals }

  /// A reader that goes away is an error of the write, not the end of the process.
  static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

  /// Blocks until SIGINT, SIGTERM or SIGHUP; nil when `timeoutMilliseconds` pass first.
  static func waitForSignal(timeoutMilliseconds: Int32 = -1) -> Int32? {
    signals?.wait(timeoutMilliseconds: timeoutMilliseconds)
  }

  /// The next of SIGINT, SIGTERM and SIGHUP.
  static func nextSignal() async -> Int32 {
    await withCheckedContinuation { continuation in
      let started: Void? = try? SystemThread.start(name: "signals") { continuation.resume(returning: waitForSignal() ?? SIGTERM) }
      if started == nil { continuation.resume(returning: SIGTERM) }
    }
  }

  static func writeError(_ text: String) {
    let bytes = Array(text.utf8)
    // SAFETY: the bytes are valid for the length of the call.
    _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress!, $0.count) }
  }
}
