import Glibc
import LinuxSystem

/// What belongs to the whole process.
public enum Process {
  private static let signals = try? TerminationSignals()

  /// From now on SIGINT, SIGTERM and SIGHUP wait to be asked for. Commands that clean up call it first; the others just end.
  public static func takeSignals() { _ = signals }

  /// A reader that goes away is an error of the write, not the end of the process.
  public static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

  /// Blocks until SIGINT, SIGTERM or SIGHUP; nil when `timeoutMilliseconds` pass first.
  public static func waitForSignal(timeoutMilliseconds: Int32 = -1) -> Int32? {
    signals?.wait(timeoutMilliseconds: timeoutMilliseconds)
  }

  /// The next of SIGINT, SIGTERM and SIGHUP.
  public static func nextSignal() async -> Int32 {
    await withCheckedContinuation { continuation in
      let started: Void? = try? SystemThread.start(name: "signals") { continuation.resume(returning: waitForSignal() ?? SIGTERM) }
      if started == nil { continuation.resume(returning: SIGTERM) }
    }
  }

  public static func writeError(_ text: String) {
    let bytes = Array(text.utf8)
    // SAFETY: the bytes are valid for the length of the call.
    _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress!, $0.count) }
  }
}
