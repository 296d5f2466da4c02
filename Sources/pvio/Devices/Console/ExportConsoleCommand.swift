import ArgumentParser
import ConsoleFront
import DriverCommands
import EventLoop
import LinuxSystem
import PVDriver
import SystemPackage
import Xenbus

/// `pvio export console`: the guest's end of a console, connected to a command, to this process's streams, or to a pseudo terminal.
struct ExportConsoleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "console", abstract: "Use a domain's console: run a command on it, or show it as a terminal of the guest.")

  @OptionGroup var place: ExportOptions
  @Flag(help: "Connect the console to standard input and output, instead of a pseudo terminal.") var stdio = false
  @Argument(parsing: .postTerminator, help: "A command to run on the console.") var command: [String] = []

  func validate() throws {
    if stdio, !command.isEmpty { throw ValidationError("--stdio and a command exclude each other") }
  }

  func run() async throws {
    try await place.use(BackendConsoleCommand.kind) { address in
      let thread = try EventLoopThread.started("console")
      defer { thread.stopAndJoin() }
      let life = place.life(of: address)
      if stdio { return try await runOnStreams(life, thread.loop) }
      try await runOnTerminal(life, thread.loop)
    }
  }

  private func runOnStreams(_ life: ExportLife, _ loop: EventLoop) async throws {
    let (input, output): (SharedDescriptor, SharedDescriptor)
    do throws(Errno) {
      (input, output) = (try .reopened(0, forWriting: false), try .reopened(1, forWriting: true))
    } catch {
      throw CommandFailure("standard input and output cannot be used: \(error)")
    }
    try await export(life, loop, input: input, output: output, readyText: "standard input and output", onStandardError: true)
  }

  private func runOnTerminal(_ life: ExportLife, _ loop: EventLoop) async throws {
    let terminal: PseudoTerminal
    do { terminal = try PseudoTerminal(isRaw: command.isEmpty) } catch { throw CommandFailure("cannot open a pseudo terminal: \(error)") }
    guard let program = command.first else {
      return try await export(life, loop, input: terminal.controller, output: terminal.controller, readyText: terminal.path)
    }
    var options = ChildProcess.Options()
    options.newSession = true
    options.terminalPath = terminal.path
    options.environment["TERM"] = "vt100"
    let child: ChildProcess
    do { child = try ChildProcess.spawn(program, Array(command.dropFirst()), options) } catch { throw CommandFailure("cannot run \(program): \(error)") }
    let (endings, ended) = AsyncStream<ChildProcess.Ending>.makeStream()
    do {
      try SystemThread.start(name: "child") {
        ended.yield(child.wait())
        ended.finish()
      }
    } catch {
      throw CommandFailure("cannot start a thread: \(error)")
    }
    let ending = Task { () -> ChildProcess.Ending? in
      for await ending in endings {
        // What it has said last is still on its way.
        try? await Task.sleep(for: .milliseconds(200))
        life.notices.stop()
        return ending
      }
      return nil
    }
    let outcome = await Task { try await export(life, loop, input: terminal.controller, output: terminal.controller, readyText: program) }.result
    child.send(signal: TerminalMode.hangUpSignal)
    let result = await ending.value
    try outcome.get()
    if case .exited(let code)? = result, code != 0 { throw ExitCode(code) }
  }

  private func export(
    _ life: ExportLife, _ loop: EventLoop, input: SharedDescriptor, output: SharedDescriptor, readyText: String, onStandardError: Bool = false
  ) async throws {
    let notices = life.notices
    try await life.run(ConsoleFrontendDevice(), on: loop, readyText: readyText, onStandardError: onStandardError) {
      [
        try ByteStreamPump(loop: loop, input: input, output: output) { ending in
          // A stream that has ended, and whose bytes are all there, is the end of the console.
          if ending != .inputEnded { notices.stop() }
        }
      ]
    }
  }
}
