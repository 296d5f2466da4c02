import ArgumentParser
import DriverCommands
import Glibc
import LinuxSystem

/// `pvio bench vchan`: what a pipe between two domains moves, against a Unix socket between two processes.
struct BenchVchan: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vchan", abstract: "Bytes a second through a vchan between two processes, against a Unix socket.",
    discussion: "From /dev/zero to /dev/null, each end pinned to a processor of its own; the peer is a C program with pieces of 64 KiB.")

  enum Peer: String, ExpressibleByArgument, CaseIterable { case unixSocket = "unix-socket" }

  @Option(help: ArgumentHelp("Measure a peer in turns with ours.", valueName: "peer")) var peer: Peer?
  @Option(help: "Seconds of a round.") var seconds = 2.0
  @OptionGroup var options: BenchOptions

  /// Bytes of the measured ring.
  private static let ringSizes = [64 << 10, 256 << 10, 1 << 20]

  func validate() throws {
    if !(seconds > 0 && seconds < 3600) { throw ValidationError("--seconds is more than 0") }
  }

  func run() async throws {
    let machine = try options.prepare()
    guard machine.processorCount >= 2 else { throw BenchFailure("the vchan benchmark needs two processors, one for each end") }
    let program = try peer.map { _ in try PeerProgram.compile("unixpipe", package: "libc6-dev") }
    let daemon = try await BenchDaemon.open()
    var rows: [BenchReport.Row] = []
    do {
      for byteCount in Self.ringSizes {
        let series = try interleave(
          rounds: options.rounds, ours: { try measure(daemon, ringByteCount: byteCount) },
          peer: program.map { program in { try program.measure(["\(seconds)"]) } })
        rows.append(
          BenchReport.Row(
            name: "\(byteCount >> 10)k-ring", unit: "bytes/s", better: .higher, ours: series.ours,
            peer: series.peer.flatMap { series in peer.map { ($0.rawValue, series) } }))
      }
    } catch {
      await daemon.close()
      throw error
    }
    await daemon.close()
    try options.present(BenchReport(benchmark: "vchan", machine: machine, rows: rows))
  }

  /// One round: two processes that are connected as any others are.
  private func measure(_ daemon: BenchDaemon, ringByteCount: Int) throws -> Double {
    func start(_ side: VchanWorker.Side) throws -> OwnedChildProcess {
      try OwnedChildProcess.start(
        "/proc/self/exe",
        arguments: [
          "bench", "vchan-worker", "--run-dir", daemon.common.runDirectory.path, side.rawValue, "\(daemon.domain)", "\(ringByteCount)", "\(seconds)",
        ], capturingOutput: true)
    }
    let listener = try start(.listen)
    let connector = try start(.connect)
    let output = try BenchProcess.allOutput(of: listener)
    guard listener.waitForExit() == .exited(0), connector.waitForExit() == .exited(0), let rate = BenchProcess.number(in: output) else {
      throw BenchFailure("the pipe of \(ringByteCount) bytes failed")
    }
    return rate
  }
}
