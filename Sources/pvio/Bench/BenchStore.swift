import ArgumentParser
import LinuxSystem
import SystemPackage

/// `pvio bench store`: the daemon's store over its socket, alone or against Xen's own daemons.
struct BenchStore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "store", abstract: "Operations a second and latency of a xenstore, by number of clients and watchers.")

  enum Peer: String, ExpressibleByArgument, CaseIterable {
    /// Xen's xenstored in C, from Debian, run without Xen.
    case cxenstored
    /// Xen's oxenstored in OCaml, likewise.
    case oxenstored
    /// A program that answers without looking: what sockets and wake-ups give to any store here.
    case ceiling
  }

  @Option(help: ArgumentHelp("Measure a peer in turns with ours: cxenstored , oxenstored or ceiling; may be given more than once.", valueName: "peer"))
  var peer: [Peer] = []

  @Option(help: ArgumentHelp("Measure only this case; may be given more than once.", valueName: "case"))
  var only: [String] = []

  @Option(help: "Seconds of each round.")
  var seconds = 0.5

  @Option(
    help: ArgumentHelp("Let ours keep its store on disk, in a folder of its own in this one; the peers' are in memory.", valueName: "dir"))
  var durableIn: String?

  @Flag(help: "Show latencies and the daemon's processor time, too.")
  var details = false

  @OptionGroup var options: BenchOptions

  func validate() throws {
    let names = StoreCase.all.map(\.name)
    if let unknown = only.first(where: { !names.contains($0) }) {
      throw ValidationError("--only \(unknown): the cases are \(names.joined(separator: ", "))")
    }
    if !(seconds >= 0.01 && seconds <= 3600) { throw ValidationError("--seconds must be from 0.01 to 3600") }
  }

  func run() throws {
    let machine = try options.prepare()
    try ProcessLimits.raiseOpenFileLimit()
    let load = try PeerProgram.compile("xsload", package: "libc6-dev", libraries: ["-lpthread"])
    let prepared = peer.contains { $0 != .ceiling } ? try BenchStore.preparePeers() : ""
    let ours = try StoreDaemonUnderLoad.start(.ours(stateDirectory: durableIn), name: "pvio")
    let peers = try peer.map { ($0.rawValue, try StoreDaemonUnderLoad.start(.peer($0, preparedIn: prepared), name: $0.rawValue)) }
    var rows: [BenchReport.Row] = []
    for storeCase in StoreCase.all where only.isEmpty || only.contains(storeCase.name) {
      let figures = try measure(storeCase, [ours] + peers.map(\.1), load)
      if peers.isEmpty { rows += StoreFigures.rows(storeCase, detailed: details, ours: figures[0], peer: nil) }
      for (index, peer) in peers.enumerated() {
        rows += StoreFigures.rows(storeCase, detailed: details, ours: figures[0], peer: (peer.0, figures[index + 1]))
      }
    }
    try options.present(BenchReport(benchmark: durableIn == nil ? "store" : "store on disk", machine: machine, rows: rows))
  }

  /// Measures all daemons in turns, each round beginning with another one.
  private func measure(_ storeCase: StoreCase, _ daemons: [StoreDaemonUnderLoad], _ load: PeerProgram) throws -> [[StoreFigures]] {
    var figures: [[StoreFigures]] = daemons.map { _ in [] }
    let progress = ProgressLine()
    defer { progress.clear() }
    for round in 0..<options.rounds {
      progress.show("\(storeCase.name): round \(round + 1) of \(options.rounds)")
      for turn in daemons.indices {
        let index = (round + turn) % daemons.count
        figures[index].append(try daemons[index].measure(storeCase, with: load, seconds: seconds))
      }
    }
    return figures
  }

  /// Gets Xen's daemons ready beside the build; gives the absolute path of their folder.
  private static func preparePeers() throws -> String {
    let script = "Benchmarks/Peers/xenstored/prepare.sh"
    guard (try? OwnedDescriptor.open(script, flags: 0)) != nil else {
      throw BenchFailure("\(script) is not here: run the benchmark with a peer in the directory of pvio's sources")
    }
    let output = try BenchProcess.output(of: "/bin/sh", ["-c", "mkdir -p .build/peers/xenstored && sh \(script) .build/peers/xenstored && pwd"])
    guard let directory = output.split(separator: "\n").last else { throw BenchFailure("\(script) did not run") }
    return "\(directory)/.build/peers/xenstored"
  }
}
