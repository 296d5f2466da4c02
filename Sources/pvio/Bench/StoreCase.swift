/// One way to load a store.
struct StoreCase {
  /// How the load is driven (`Benchmarks/Peers/xsload.c`).
  enum Mode: String {
    /// Each client has a thread, as users of libxenstore have.
    case threads
    /// All clients are driven by one thread, so that the store is the limit.
    case loop
    /// The same, with 16 operations at a time on each connection.
    case pipelined
  }

  var operation: String
  var clients: Int
  var mode = Mode.loop

  var name: String { "\(operation)-\(clients)" + (mode == .loop ? "" : "-\(mode.rawValue)") }

  func arguments(socket: String, seconds: Double) -> [String] { [socket, operation, mode.rawValue, "\(clients)", "\(seconds)"] }

  static let all: [StoreCase] =
    cases(["write", "read", "directory", "txn"], [1, 4, 16], [.loop]) + cases(["write", "read", "directory", "txn"], [4, 16], [.threads, .pipelined])
    + cases(["txnc"], [16], [.loop]) + cases(["fanout"], [1, 100, 1000], [.loop, .pipelined])

  private static func cases(_ operations: [String], _ clients: [Int], _ modes: [Mode]) -> [StoreCase] {
    modes.flatMap { mode in operations.flatMap { operation in clients.map { StoreCase(operation: operation, clients: $0, mode: mode) } } }
  }
}

/// What one round of a case gives.
struct StoreFigures {
  var operationsPerSecond: Double
  /// Of an operation, in microseconds.
  var medianMicroseconds: Double
  var tailMicroseconds: Double
  var farTailMicroseconds: Double
  /// Transactions that had to be tried again, for each that was committed.
  var retriesPerOperation: Double
  /// Processor time of the daemon for each operation, in microseconds.
  var daemonMicroseconds: Double

  /// The rows of one case and one peer, from all rounds.
  static func rows(
    _ storeCase: StoreCase, detailed: Bool, ours: [StoreFigures], peer: (name: String, figures: [StoreFigures])?
  ) -> [BenchReport.Row] {
    var columns: [BenchReport.Column<StoreFigures>] = [
      ("", storeCase.operation == "fanout" ? "events/s" : "ops/s", .higher, \.operationsPerSecond)
    ]
    if detailed {
      columns += [
        (" p50", "us", .lower, \.medianMicroseconds),
        (" p99", "us", .lower, \.tailMicroseconds),
        (" p999", "us", .lower, \.farTailMicroseconds),
        (" cpu", "us of the daemon's CPU an operation", .lower, \.daemonMicroseconds),
      ]
      if storeCase.operation == "txnc" { columns.append((" retries", "conflicts a commit", .lower, \.retriesPerOperation)) }
    }
    return BenchReport.rows(storeCase.name, columns, ours: ours, peer: peer)
  }
}
