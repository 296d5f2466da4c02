public import Logging
import Synchronization

/// Counts log lines.
public final class CountingLog: Sendable {
  private let lines = Atomic<Int>(0)

  public init() {}

  public var count: Int { lines.load(ordering: .relaxed) }
  public var handler: any LogHandler { Handler(log: self) }

  private struct Handler: LogHandler {
    let log: CountingLog
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) { log.lines.add(1, ordering: .relaxed) }
  }
}
