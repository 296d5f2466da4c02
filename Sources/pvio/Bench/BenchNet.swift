import ArgumentParser
import LinuxSystem

/// `pvio bench net`: frames through a vif's rings and grants, alone or against a peer.
struct BenchNet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "net", abstract: "Frames a second through a vif, front and back pinned to a processor each, and TCP between TAP interfaces.")

  enum Peer: String, ExpressibleByArgument, CaseIterable {
    /// DPDK's testpmd: two processes with a memif between them, or one between two net_tap interfaces.
    case testpmd
    /// A pair of virtual Ethernet interfaces: the kernel alone, without any copy in user space. For the TAP cases.
    case veth
    /// A plain process between two TAP interfaces, without offloads (`Benchmarks/Peers/taprelay.c`). For the TAP cases.
    case relay
  }

  @Option(help: ArgumentHelp("Measure a peer in turns with ours: testpmd, or veth or relay (for the TAP cases).", valueName: "peer"))
  var peer: Peer?

  @Option(help: ArgumentHelp("Measure only this case; may be given more than once.", valueName: "case"))
  var only: [String] = []

  @Option(help: ArgumentHelp("Frames a second that the generator of udp-64 offers.", valueName: "frames"))
  var offered = 800_000

  @Option(help: "Seconds of each round.")
  var seconds = 2.0

  @OptionGroup var options: BenchOptions

  func validate() throws {
    let names = NetCase.all.map(\.name)
    if let unknown = only.first(where: { !names.contains($0) }) {
      throw ValidationError("--only \(unknown): the cases are \(names.joined(separator: ", "))")
    }
    if !(seconds >= 0.1 && seconds <= 3600) { throw ValidationError("--seconds must be from 0.1 to 3600") }
    if !(1...100_000_000).contains(offered) { throw ValidationError("--offered must be from 1 to 100000000") }
  }

  func run() async throws {
    let machine = try options.prepare()
    guard machine.processorCount >= 2 else { throw BenchFailure("the net benchmark needs two processors, one for each side") }
    let cases = NetCase.all.filter { only.isEmpty || only.contains($0.name) }
    let benchmark = try await NetBenchmark.open(seconds: seconds, offeredRate: offered)
    var rows: [BenchReport.Row] = []
    do {
      for netCase in cases {
        let measurePeer = peerMeasurement(of: netCase)
        let figures = try await interleave(
          rounds: options.rounds, ours: { try await benchmark.measure(netCase) }, peer: measurePeer?.measure)
        rows += NetFigures.rows(
          netCase, ours: figures.ours, peer: figures.peer.flatMap { figures in measurePeer.map { ($0.name, figures) } })
      }
    } catch {
      await benchmark.close()
      throw error
    }
    await benchmark.close()
    try options.present(BenchReport(benchmark: "net", machine: machine, rows: rows))
  }

  private func peerMeasurement(of netCase: NetCase) -> (name: String, measure: () async throws -> NetFigures)? {
    switch (netCase.path, peer) {
    case (.oneHop, .testpmd): ("testpmd memif", { try await TestpmdPeer.memif(byteCount: netCase.byteCount, seconds: seconds) })
    case (.twoHops, .testpmd): ("testpmd memif", { try await TestpmdPeer.forwarding(byteCount: netCase.byteCount, seconds: seconds) })
    case (.tapTCP, .testpmd), (.tapUDP, .testpmd): ("testpmd net_tap", { try await TestpmdPeer.taps { try await measure(netCase, $0, $1) } })
    case (.tapTCP, .veth), (.tapUDP, .veth): ("veth", { try await VethPeer.run { try await measure(netCase, $0, []) } })
    case (.tapTCP, .relay), (.tapUDP, .relay): ("relay", { try await RelayPeer.run { try await measure(netCase, $0, $1) } })
    case (.oneHop, .veth), (.oneHop, .relay), (.twoHops, .veth), (.twoHops, .relay), (_, nil): nil
    }
  }

  /// What goes through a peer that is between two namespaces.
  private func measure(_ netCase: NetCase, _ namespaces: BenchNamespaces, _ processes: [Int32]) async throws -> NetFigures {
    switch netCase.path {
    case .tapUDP:
      try await namespaces.udpRate(byteCount: netCase.byteCount, offered: offered, seconds: seconds, through: processes)
    case .oneHop, .twoHops, .tapTCP: try namespaces.tcpRate(seconds: seconds)
    }
  }
}
