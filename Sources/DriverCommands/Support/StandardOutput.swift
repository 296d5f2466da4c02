import Glibc

/// Bytes for whoever reads this command.
public enum StandardOutput {
  /// Writes all of `bytes`. Throws ``CommandFailure`` when the reader has gone.
  public static func write(_ bytes: [UInt8]) throws {
    var done = 0
    while done < bytes.count {
      // SAFETY: the bytes are valid for the length of the call, and `done` is below their count.
      let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(1, $0.baseAddress! + done, bytes.count - done) }
      if count > 0 { done += count } else if errno != EINTR { throw CommandFailure("cannot write to standard output: errno \(errno)") }
    }
  }
}
