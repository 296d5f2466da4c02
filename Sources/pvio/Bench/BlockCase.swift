/// One case of the block benchmark: random reads of 4 KiB all over a disk of 256 MiB.
struct BlockCase {
  enum Target {
    /// Memory: ours in the back-end process, the peer's a file on tmpfs.
    case memory
    /// One file on a real file system, without the page cache.
    case file
  }

  var name: String
  var target: Target
  /// Requests in flight.
  var depth: Int

  static let all = [
    BlockCase(name: "ram-4k-read-qd1", target: .memory, depth: 1),
    BlockCase(name: "ram-4k-read-qd32", target: .memory, depth: 32),
    BlockCase(name: "file-4k-read-qd32", target: .file, depth: 32),
  ]

  static let blockByteCount = 4096
  static let diskMebibytes = 256
}

/// What one round of a case gives.
struct BlockFigures {
  var requestsPerSecond: Double
  var medianNanoseconds: Double
  var tailNanoseconds: Double
  /// Processor time of the process that has the disk, per request, in nanoseconds.
  var backendNanoseconds: Double

  /// The rows of one case, from all its rounds.
  static func rows(
    _ blockCase: BlockCase, ours: [BlockFigures], peer: (name: String, figures: [BlockFigures])?
  ) -> [BenchReport.Row] {
    let columns: [BenchReport.Column<BlockFigures>] = [
      ("", "ops/s", .higher, \.requestsPerSecond),
      (" p50", "ns", .lower, \.medianNanoseconds),
      (" p99", "ns", .lower, \.tailNanoseconds),
      (" cpu", "ns of back-end CPU a request", .lower, \.backendNanoseconds),
    ]
    return BenchReport.rows(blockCase.name, columns, ours: ours, peer: peer)
  }
}
