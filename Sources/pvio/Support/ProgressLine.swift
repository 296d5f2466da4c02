import DriverCommands
import Glibc

/// One line on a terminal that says how far long work has come; silent where stderr is no terminal.
struct ProgressLine {
  private let isTerminal = isatty(2) == 1

  /// Replaces the line.
  func show(_ text: String) {
    if isTerminal { Process.writeError("\r\u{1B}[K\(text)") }
  }

  /// Takes the line away.
  func clear() {
    if isTerminal { Process.writeError("\r\u{1B}[K") }
  }
}
