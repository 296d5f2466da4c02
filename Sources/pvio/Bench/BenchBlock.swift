import ArgumentParser
import LinuxSystem

/// `pvio bench block`: random reads through a back-end process, its rings and grants, alone or against a peer.
struct BenchBlock: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "block", abstract: "Requests a second and latency of a served disk, front and back pinned to a processor each.")

  enum Peer: String, ExpressibleByArgument, CaseIterable {
    /// Serves a tmpfs file over vhost-user, driven by a polling C front-end.
    case storageDaemon = "qemu-storage-daemon"
    /// Reads the file itself with io_uring: what the disk can do.
    case fio

    /// Whether this is the peer of a case, where both are asked for.
    func canBeCompared(in blockCase: BlockCase) -> Bool {
      switch self {
      case .storageDaemon: blockCase.transport == .vhostUser || blockCase.target != .file
      case .fio: blockCase.transport == .rings && blockCase.target == .file
      }
    }
  }

  @Option(
    help: ArgumentHelp(
      "Measure a peer in turns with ours: qemu-storage-daemon (for the ram and vhost cases) or fio (for the file cases); may be given twice.",
      valueName: "peer"))
  var peer: [Peer] = []

  @Option(help: ArgumentHelp("Measure only this case; may be given more than once.", valueName: "case"))
  var only: [String] = []

  @Option(help: "Seconds of each round.")
  var seconds = 1.0

  @Option(help: ArgumentHelp("Where the file cases make their file: on a disk, not on tmpfs.", valueName: "dir"))
  var directory = "/var/tmp"

  @OptionGroup var options: BenchOptions

  func validate() throws {
    let names = BlockCase.all.map(\.name)
    if let unknown = only.first(where: { !names.contains($0) }) {
      throw ValidationError("--only \(unknown): the cases are \(names.joined(separator: ", "))")
    }
    if !(seconds >= 0.01 && seconds <= 3600) { throw ValidationError("--seconds must be from 0.01 to 3600") }
  }

  func run() async throws {
    let machine = try options.prepare()
    guard machine.processorCount >= 2 else { throw BenchFailure("the block benchmark needs two processors, one for each side") }
    let cases = BlockCase.all.filter { only.isEmpty || only.contains($0.name) }
    let files = try BenchFiles.make(
      onDisk: cases.contains { $0.target == .file } ? directory : nil,
      inMemory: peer.contains(.storageDaemon) && cases.contains { $0.target == .memory })
    let benchmark = try await BlockBenchmark.open(filePath: files.diskPath ?? "", seconds: seconds)
    var rows: [BenchReport.Row] = []
    do {
      for blockCase in cases { rows += try await measure(blockCase, benchmark, files) }
    } catch {
      await benchmark.close()
      throw error
    }
    await benchmark.close()
    try options.present(BenchReport(benchmark: "block", machine: machine, rows: rows))
  }

  /// All rounds of one case. Servers live for one round each, so that none polls while the other is measured.
  private func measure(_ blockCase: BlockCase, _ benchmark: BlockBenchmark, _ files: borrowing BenchFiles) async throws -> [BenchReport.Row] {
    let compared = peer.first { $0.canBeCompared(in: blockCase) }
    var ours: [BlockFigures] = []
    var peers: [BlockFigures] = []
    let progress = ProgressLine()
    defer { progress.clear() }
    for round in 0..<options.rounds {
      progress.show("\(blockCase.name): round \(round + 1) of \(options.rounds)")
      // Who starts alternates.
      if round.isMultiple(of: 2) { ours.append(try await measureOurs(blockCase, benchmark, files)) }
      if let compared { peers.append(try measure(compared, blockCase, files)) }
      if !round.isMultiple(of: 2) { ours.append(try await measureOurs(blockCase, benchmark, files)) }
    }
    return BlockFigures.rows(blockCase, ours: ours, peer: compared.map { ($0.rawValue, peers) })
  }

  private func measureOurs(_ blockCase: BlockCase, _ benchmark: BlockBenchmark, _ files: borrowing BenchFiles) async throws -> BlockFigures {
    switch blockCase.transport {
    case .rings: try await benchmark.measure(blockCase)
    case .vhostUser: try VhostUserDisk.ours(blockCase, files: files).measure(depth: blockCase.depth, seconds: seconds)
    }
  }

  private func measure(_ peer: Peer, _ blockCase: BlockCase, _ files: borrowing BenchFiles) throws -> BlockFigures {
    switch peer {
    case .storageDaemon:
      try VhostUserDisk.storageDaemon(blockCase.target, files: files).measure(depth: blockCase.depth, seconds: seconds)
    case .fio: try FioPeer.measure(path: files.diskPath ?? "", depth: blockCase.depth, seconds: seconds)
    }
  }
}
