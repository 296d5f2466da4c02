import Foundation

/// The file in which a process says how what it serves is doing, for `pvio status` and `pvio list`: replaced in one step.
public enum StatusFile {
  /// Longest time, in seconds, for which a file does not say what has changed.
  public static let delaySeconds = 0.5

  /// Writes what `status` says to `path` whenever it has changed, twice a second at most, until the task is cancelled.
  public static func keepWriting<Status: Encodable & Equatable>(to path: String, _ status: () async -> Status) async {
    var last: Status?
    while !Task.isCancelled {
      let contents = await status()
      if contents != last {
        // A full disk under the run directory must not stop the service; the next change tries again.
        try? writeJSON(contents, to: path)
        last = contents
      }
      try? await Task.sleep(for: .seconds(delaySeconds))
    }
  }

  /// When the file at `path` was written, in seconds since 1970-01-01 UTC; nil when there is none.
  public static func timeWritten(at path: String) -> Double? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    return (attributes?[.modificationDate] as? Date)?.timeIntervalSince1970
  }
}
