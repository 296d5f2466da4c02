import ArgumentParser

/// `pvio bench`: measured figures, interleaved with a peer's in the same run.
struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure, alone or interleaved with a peer.", subcommands: [
      BenchRing.self, BenchBlock.self, BenchGrant.self, BenchNet.self, BenchConnect.self, BenchStore.self, BenchVchan.self, BenchAllocations.self,
      RingWorker.self, BlockWorker.self, NetWorker.self, VchanWorker.self, EntropyWorker.self,
    ])
}

/// What every benchmark takes.
struct BenchOptions: ParsableArguments {
  @Flag(help: "Print one JSON object.")
  var json = false

  @Option(help: ArgumentHelp("Draw the figures into an SVG file.", valueName: "file.svg"))
  var plot: String?

  @Option(help: "Rounds of each case; ours and the peer's take turns.")
  var rounds = 5

  @Flag(help: "Record even though the machine is busy.")
  var anyway = false

  func validate() throws {
    if rounds < 1 { throw ValidationError("--rounds must be at least 1") }
  }

  /// Describes the machine, or refuses: on a busy machine, and in a debug build, figures mean nothing.
  func prepare() throws -> MachineDescription {
    #if DEBUG
      if !anyway { throw BenchFailure("a debug build is many times slower: use swift build -c release (or --anyway)") }
    #endif
    let machine = try MachineDescription.current()
    if machine.isBusy, !anyway {
      throw BenchFailure("the machine is busy (\(machine.busyPercent)% of its processors, load \(machine.load)): wait, or use --anyway")
    }
    return machine
  }

  /// Prints the report and draws it, as asked for.
  func present(_ report: BenchReport) throws {
    print(json ? report.json.text : report.table)
    if let plot { try write(BenchPlot(report).svg, to: plot) }
  }
}
