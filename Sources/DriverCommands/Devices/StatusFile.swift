/// The file in which a process says how what it serves is doing, for `pvio status` and `pvio list`: replaced in one step.
public enum StatusFile {
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
      try? await Task.sleep(for: .milliseconds(500))
    }
  }
}
