public import EventLoop
import LinuxSystem
public import PVDriver
public import SystemPackage

/// What a console is connected to on the host: a pseudo terminal that people attach to, and a log.
///
/// Output that nobody looks at does not hold the guest up: the newest is kept for whoever comes, and the log has all of it.
public struct ConsoleTerminal: Sendable {
  private let terminal: PseudoTerminal
  private let logPath: String?
  private let historyByteCount: Int

  /// Bytes of output that are kept while nobody takes them.
  public static let standardHistoryByteCount = 64 << 10

  /// Opens a pseudo terminal.
  /// - Parameters:
  ///   - logPath: a file that all of the output is appended to.
  ///   - historyByteCount: bytes of output that are kept while nobody takes them, a power of two.
  public init(logPath: String? = nil, historyByteCount: Int = standardHistoryByteCount) throws(Errno) {
    terminal = try PseudoTerminal()
    self.logPath = logPath
    self.historyByteCount = historyByteCount
  }

  /// Where people attach: `/dev/pts/3`.
  public var path: String { terminal.path }

  /// The pump between the console's stream and the terminal. Called on the loop, once.
  public func makePump(on loop: EventLoop, onLogFailure: @escaping (Errno) -> Void) throws(Errno) -> ByteStreamPump {
    var log: ByteLog?
    if let logPath { log = try ByteLog(path: logPath, loop: loop, onFailure: onLogFailure) }
    return try ByteStreamPump(
      loop: loop, input: terminal.controller, output: terminal.controller, overflow: .discardOldest(byteCount: historyByteCount), log: log)
  }
}
