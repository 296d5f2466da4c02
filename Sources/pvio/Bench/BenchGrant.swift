import ArgumentParser

/// `pvio bench grant`: what granting and mapping a page costs.
struct BenchGrant: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "grant", abstract: "Nanoseconds to map and unmap a granted page, and to grant and revoke one.")

  @OptionGroup var options: BenchOptions

  func run() throws {
    let machine = try options.prepare()
    let cases: [(name: String, measure: () throws -> Double)] = [
      ("map-unmap", GrantBenchmark.mapAndUnmapNanoseconds), ("grant-revoke", GrantBenchmark.grantAndRevokeNanoseconds),
    ]
    let rows = try cases.map { name, measure in
      BenchReport.Row(name: name, unit: "ns", better: .lower, ours: try interleave(rounds: options.rounds, ours: measure, peer: nil).ours, peer: nil)
    }
    try options.present(BenchReport(benchmark: "grant", machine: machine, rows: rows))
  }
}
