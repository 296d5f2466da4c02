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
  }

  @Option(
    help: ArgumentHelp(
      "Measure a peer in turns with ours: qemu-storage-daemon (for the ram cases) or fio (for the file cases); may be given twice.",
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
    let diskPath = files.diskPath
    let storageDaemon = try files.memoryPath.map { try StorageDaemonPeer.start(serving: $0, socketPath: files.socketPath) }
    let benchmark = try await BlockBenchmark.open(filePath: diskPath ?? "", seconds: seconds)
    var rows: [BenchReport.Row] = []
    do {
      for blockCase in cases {
        let measurePeer = try peerMeasurement(of: blockCase, storageDaemon, diskPath: diskPath)
        let figures = try await interleave(
          rounds: options.rounds, ours: { try await benchmark.measure(blockCase) }, peer: measurePeer?.measure)
        rows += BlockFigures.rows(
          blockCase, ours: figures.ours, peer: figures.peer.flatMap { figures in measurePeer.map { ($0.peer.rawValue, figures) } })
      }
    } catch {
      await benchmark.close()
      throw error
    }
    await benchmark.close()
    try options.present(BenchReport(benchmark: "block", machine: machine, rows: rows))
  }

  private func peerMeasurement(
    of blockCase: BlockCase, _ storageDaemon: StorageDaemonPeer?, diskPath: String?
  ) throws -> (peer: Peer, measure: () async throws -> BlockFigures)? {
    switch blockCase.target {
    case .memory:
      guard peer.contains(.storageDaemon), let storageDaemon else { return nil }
      return (.storageDaemon, { try storageDaemon.measure(depth: blockCase.depth, seconds: seconds) })
    case .file:
      guard peer.contains(.fio), let path = diskPath else { return nil }
      return (.fio, { try FioPeer.measure(path: path, depth: blockCase.depth, seconds: seconds) })
    }
  }
}
