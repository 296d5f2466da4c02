import ArgumentParser

/// `pvio bench ring`: two pinned processes, one ring between them.
struct BenchRing: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ring", abstract: "Requests a second and round trips through a shared ring between two pinned processes.")

  enum Peer: String, ExpressibleByArgument, CaseIterable {
    /// Xen's own ring.h, used as well as C can.
    case xenRing = "xen-ring"
  }

  @Option(help: "Measure a peer in turns with ours: xen-ring is Xen's own ring.h in C.")
  var peer: Peer?

  @Option(help: ArgumentHelp("Measure only this case; may be given more than once.", valueName: "case"))
  var only: [String] = []

  @OptionGroup var options: BenchOptions

  func validate() throws {
    let names = RingCase.all.map(\.name)
    if let unknown = only.first(where: { !names.contains($0) }) {
      throw ValidationError("--only \(unknown): the cases are \(names.joined(separator: ", "))")
    }
  }

  func run() throws {
    let machine = try options.prepare()
    guard machine.processorCount >= 2 else { throw BenchFailure("the ring benchmark needs two processors, one for each side") }
    let program = try peer.map { _ in try PeerProgram.compile("xenring_batched", package: "libxen-dev") }
    var rows: [BenchReport.Row] = []
    for ringCase in RingCase.all where only.isEmpty || only.contains(ringCase.name) {
      let series = try interleave(
        rounds: options.rounds,
        ours: { try RingBenchmark.measure(ringCase) },
        peer: program.flatMap { program in ringCase.peerArguments.map { arguments in { try program.measure(arguments) } } })
      rows.append(
        BenchReport.Row(
          name: ringCase.name, unit: ringCase.unit, better: ringCase.better, ours: series.ours,
          peer: series.peer.map { (Peer.xenRing.rawValue, $0) }))
    }
    try options.present(BenchReport(benchmark: "ring", machine: machine, rows: rows))
  }
}
