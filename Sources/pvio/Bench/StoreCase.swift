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
    ["write", "read", "directory", "txn"].flatMap { operation in [1, 4, 16].map { StoreCase(operation: operation, clients: $0) } }
    + ["write", "read", "directory", "txn"].flatMap { operation in
      [4, 16].map { StoreCase(operation: operation, clients: $0, mode: .threads) }
    }
    + ["write", "read", "directory", "txn"].flatMap { operation in
      [4, 16].map { StoreCase(operation: operation, clients: $0, mode: .pipelined) }
    }
    + [StoreCase(operation: "txnc", clients: 16)]
    + [Mode.loop, .pipelined].flatMap { mode in [1, 100, 1000].map { StoreCase(operation: "fanout", clients: $0, mode: mode) } }
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
