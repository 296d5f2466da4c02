/// One case of the block benchmark: random reads of 4 KiB all over a disk of 256 MiB.
struct BlockCase {
  enum Target {
    /// Memory: ours in the back-end process, the peer's a file on tmpfs.
    case memory
    /// One file on a real file system, without the page cache.
    case file
    /// Nothing: what is left is the ring, the requests and the wake-ups.
    case null
  }

  /// How the requests come to the disk.
  enum Transport {
    /// blkif rings, a front-end process of ours.
    case rings
    /// vhost-user-blk, driven by `Peers/vublk.c` as the peer is.
    case vhostUser
  }

  var name: String
  var target: Target
  /// Requests in flight.
  var depth: Int
  var transport = Transport.rings

  static let overRings = [
    BlockCase(name: "ram-4k-read-qd1", target: .memory, depth: 1),
    BlockCase(name: "ram-4k-read-qd32", target: .memory, depth: 32),
    BlockCase(name: "file-4k-read-qd32", target: .file, depth: 32),
  ]
  static let overVhostUser = [
    BlockCase(name: "vhost-null-4k-read-qd1", target: .null, depth: 1, transport: .vhostUser),
    BlockCase(name: "vhost-null-4k-read-qd32", target: .null, depth: 32, transport: .vhostUser),
    BlockCase(name: "vhost-ram-4k-read-qd1", target: .memory, depth: 1, transport: .vhostUser),
    BlockCase(name: "vhost-ram-4k-read-qd32", target: .memory, depth: 32, transport: .vhostUser),
    BlockCase(name: "vhost-file-4k-read-qd32", target: .file, depth: 32, transport: .vhostUser),
  ]
  static let all = overRings + overVhostUser

  /// What our back-end is told to serve.
  func backing(filePath: String) -> String {
    switch target {
    case .memory: "ram=\(Self.diskMebibytes)M"
    case .null: "null=\(Self.diskMebibytes)M"
    case .file: "file=\(filePath),readonly=on"
    }
  }

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
