import ArgumentParser
import Glibc
import LinuxSystem

/// `pvio bench allocations`: what a request on the data path allocates, which must be nothing. Fails when it does.
///
/// Both processes run with a counting `malloc`, once with few and once with many requests: what starting and ending costs is in
/// both counts, and what is left of the difference is the requests'.
struct BenchAllocations: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "allocations", abstract: "Allocations of both processes in 100 000 requests; fails unless requests need none.")

  @Option(help: ArgumentHelp("Where the file case makes its file: on a disk, not on tmpfs.", valueName: "dir"))
  var directory = "/var/tmp"

  @OptionGroup var options: BenchOptions

  private static let fewRequests: UInt64 = 10_000
  private static let manyRequests: UInt64 = 110_000
  /// What runs beside the requests allocates now and then: status files, log lines. One in a hundred requests is no request's.
  private static let tolerated = 1000.0

  func run() async throws {
    var options = options
    // Other work does not change the count.
    options.anyway = true
    let machine = try options.prepare()
    let counter = try PeerProgram.compile("malloc_count", package: "libc6-dev", libraries: ["-shared", "-fPIC"])
    let files = try BenchFiles.make(onDisk: directory, inMemory: false)
    let countsPath = "/tmp/pvio-bench-\(getpid()).counts"
    let benchmark = try await BlockBenchmark.open(filePath: files.diskPath ?? "", seconds: 3600)
    // SAFETY: terminated strings, which setenv copies; nothing else of this process looks at the environment meanwhile.
    unsafe setenv("PVIO_MALLOC_COUNTS", countsPath, 1)
    unsafe setenv("LD_PRELOAD", counter.path, 1)
    // SAFETY: the path is a terminated string for the length of the call.
    defer { unsafe unlink(countsPath) }
    var rows: [BenchReport.Row] = []
    do {
      for blockCase in BlockCase.all {
        var values: [Double] = []
        for _ in 0..<options.rounds {
          let few = try await allocations(of: blockCase, Self.fewRequests, benchmark, countsPath)
          values.append(try await allocations(of: blockCase, Self.manyRequests, benchmark, countsPath) - few)
        }
        rows.append(
          BenchReport.Row(
            name: blockCase.name, unit: "allocations in 100 000 requests", better: .lower, ours: BenchReport.Series(values: values), peer: nil))
      }
    } catch {
      await benchmark.close()
      throw error
    }
    await benchmark.close()
    try options.present(BenchReport(benchmark: "allocations", machine: machine, rows: rows))
    if let row = rows.first(where: { $0.ours.median > Self.tolerated }) {
      throw BenchFailure("\(row.name): requests allocate (\(Int(row.ours.median)) in 100 000)")
    }
  }

  private func allocations(
    of blockCase: BlockCase, _ requests: UInt64, _ benchmark: BlockBenchmark, _ countsPath: String
  ) async throws -> Double {
    // SAFETY: as above.
    unsafe unlink(countsPath)
    _ = try await benchmark.measure(blockCase, requests: requests)
    let counts = try TextFile.read(countsPath).split(separator: "\n").compactMap { Double($0) }
    guard counts.count == 2 else { throw BenchFailure("\(counts.count) processes counted their allocations, not 2") }
    return counts[0] + counts[1]
  }
}
