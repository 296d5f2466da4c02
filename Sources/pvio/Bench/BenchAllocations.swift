import ArgumentParser
import Glibc
import LinuxSystem

/// `pvio bench allocations`: what a request or a frame on the data path allocates, which must be nothing. Fails when it does.
///
/// The processes run with a counting `malloc`, once with few and once with many requests: what starting and ending costs is in
/// both counts, and what is left of the difference is the requests'.
struct BenchAllocations: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "allocations", abstract: "Allocations of both processes in 100 000 requests or frames; fails unless these need none.")

  @Option(help: ArgumentHelp("Where the file case makes its file: on a disk, not on tmpfs.", valueName: "dir"))
  var directory = "/var/tmp"

  @OptionGroup var options: BenchOptions

  private static let fewRequests: UInt64 = 10_000
  private static let manyRequests: UInt64 = 110_000
  /// What runs beside the requests allocates now and then: log lines, a grown table. One in a hundred requests is no request's.
  private static let tolerated = 1000.0
  /// What a process may allocate in a second whatever the number of requests: it writes its status twice, with fifty allocations each.
  private static let toleratedPerSecond = 200.0

  /// What a case's processes allocated for its requests, and how much of that may be due to time.
  private struct Count {
    let row: BenchReport.Row
    let tolerated: Double
  }

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
    var counts: [Count] = []
    do {
      for blockCase in BlockCase.overRings {
        counts.append(
          try await count(blockCase.name, "requests", countsPath) { _ = try await benchmark.measure(blockCase, requests: $0) })
      }
    } catch {
      await benchmark.close()
      throw error
    }
    await benchmark.close()
    let net = try await NetBenchmark.open(seconds: 3600)
    do {
      for netCase in NetCase.all where !netCase.usesTaps {
        counts.append(try await count(netCase.name, "frames", countsPath) { _ = try await net.measure(netCase, frames: $0) })
      }
    } catch {
      await net.close()
      throw error
    }
    await net.close()
    counts.append(try await drivers(countsPath))
    try options.present(BenchReport(benchmark: "allocations", machine: machine, rows: counts.map(\.row)))
    if let count = counts.first(where: { $0.row.ours.median > $0.tolerated }) {
      throw BenchFailure(
        "\(count.row.name): they allocate (\(Int(count.row.ours.median)) in 100 000, more than the \(Int(count.tolerated)) that the time explains)")
    }
  }

  /// A driver on the framework's generic halves: of these only the back-end is counted, since a client makes a task of each call.
  private func drivers(_ countsPath: String) async throws -> Count {
    let daemon = try await BenchDaemon.open()
    let result: Result<Count, any Error>
    do {
      result = .success(
        try await count("entropy-4k back-end", "requests", countsPath, processCount: 1) { try await EntropyWorker.round(daemon, requests: $0) })
    } catch {
      result = .failure(error)
    }
    await daemon.close()
    return try result.get()
  }

  private func count(
    _ name: String, _ what: String, _ countsPath: String, processCount: Int = 2, _ run: (_ count: UInt64) async throws -> Void
  ) async throws -> Count {
    var values: [Double] = []
    var longest = 0.0
    for _ in 0..<options.rounds {
      let few = try await allocations(countsPath, processCount) { try await run(Self.fewRequests) }
      let many = try await allocations(countsPath, processCount) { try await run(Self.manyRequests) }
      values.append(many.count - few.count)
      longest = max(longest, many.seconds - few.seconds)
    }
    return Count(
      row: BenchReport.Row(
        name: name, unit: "allocations in 100 000 \(what)", better: .lower, ours: BenchReport.Series(values: values), peer: nil),
      tolerated: Self.tolerated + Self.toleratedPerSecond * Double(processCount) * longest)
  }

  private func allocations(
    _ countsPath: String, _ processCount: Int, _ run: () async throws -> Void
  ) async throws -> (count: Double, seconds: Double) {
    // SAFETY: as above.
    unsafe unlink(countsPath)
    let start = ContinuousClock.now
    try await run()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    let counts = try TextFile.read(countsPath).split(separator: "\n").compactMap { Double($0) }
    guard counts.count == processCount else { throw BenchFailure("\(counts.count) processes counted their allocations, not \(processCount)") }
    return (counts.reduce(0, +), seconds)
  }
}
