import DriverCommands
import EventLoop
import LinuxSystem
import Logging

/// Replaces the daemon by another binary while its clients stay connected: CONTROL `live-update`, as `xenstore-control` speaks it.
/// Loop thread only, except for the check.
final class LiveUpdate: @unchecked Sendable {
  // SAFETY of @unchecked: everything that changes is touched on the loop's thread; the check's thread gets copies.

  private enum State {
    case idle
    /// A binary is asked whether it could go on.
    case checking
  }

  /// How long the new binary may take to read the stream, unless the request says something else.
  private static let timeLimitSeconds = 60

  private unowned let services: DaemonServices
  private let loop: EventLoop
  private let logger: Logger
  private var state = State.idle
  private var binary: String?
  private var commandLine: [String]?

  init(services: DaemonServices, loop: EventLoop, logger: Logger) {
    self.services = services
    self.loop = loop
    self.logger = logger
  }

  /// Carries one request out. Nil: the reply comes later, from the next daemon if all goes well.
  func perform(_ arguments: [String]) -> String? {
    guard case .idle = state else { return "another live update is under way" }
    switch arguments.first {
    case "-f" where arguments.count == 2: return choose(arguments[1])
    case "-c" where arguments.count == 2:
      commandLine = arguments[1].split(whereSeparator: \.isWhitespace).map(String.init)
      return "OK"
    case "-a" where arguments.count == 1:
      binary = nil
      commandLine = nil
      return "OK"
    case "-s": return start(Array(arguments.dropFirst()))
    default: return "unknown parameters: live-update takes -f <binary>, -c <cmdline>, -s [-t <seconds>] [-F], or -a"
    }
  }

  private func choose(_ path: String) -> String {
    guard path.hasPrefix("/") else { return "\(path): name the binary by its absolute path" }
    guard RegularFile.isExecutable(path) else { return "\(path) is no program that this daemon may run" }
    binary = path
    return "OK"
  }

  /// `-F` says not to wait for open transactions: they go along, so there is nothing to wait for.
  private func start(_ options: [String]) -> String? {
    var seconds = LiveUpdate.timeLimitSeconds
    var rest = options[...]
    while let option = rest.popFirst() {
      switch option {
      case "-F": continue
      case "-t":
        guard let text = rest.popFirst(), let value = Int(text), (1...3600).contains(value) else { return "-t takes seconds, 1 to 3600" }
        seconds = value
      default: return "unknown parameter \(option)"
      }
    }
    let binary = binary ?? LiveUpdate.ownBinary
    let arguments = commandLine.map { ["daemon"] + $0 } ?? LiveUpdate.ownArguments
    self.binary = nil
    commandLine = nil
    do {
      let stream = try services.handOver().stream
      state = .checking
      let timeLimitSeconds = seconds
      try SystemThread.start(name: "live-update") { [self, loop] in
        let refusal = LiveUpdateCheck.run(binary, arguments, stream: stream, timeLimitSeconds: timeLimitSeconds)
        loop.execute { [self] in finish(binary, arguments, refusal) }
      }
      return nil
    } catch {
      state = .idle
      return "live update refused: \(error)"
    }
  }

  /// The check is over: either the process goes on as the new binary, and nothing behind the replacement happens, or as before.
  private func finish(_ binary: String, _ arguments: [String], _ refusal: String?) {
    state = .idle
    // Nobody is there any more to be told.
    guard !services.isStopping else { return }
    var failure = refusal
    if failure == nil {
      logger.info("live update: going on as \(binary)")
      failure = services.replace(by: binary, arguments)
    }
    let text = "live update refused: \(failure ?? "")"
    logger.error("\(text)")
    services.answerLiveUpdate(text)
  }

  /// The file that this process was started from, or what has taken its place: an update of the package.
  private static var ownBinary: String {
    let path = ChildProcess.ownExecutable
    let suffix = " (deleted)"
    return path.hasSuffix(suffix) ? String(path.dropLast(suffix.count)) : path
  }

  /// The arguments of this process without what an earlier update added.
  private static var ownArguments: [String] {
    var arguments = Array(CommandLine.arguments.dropFirst())
    while let index = arguments.firstIndex(of: DaemonCommand.streamOption) {
      arguments.removeSubrange(index..<min(index + 2, arguments.count))
    }
    return arguments
  }
}
