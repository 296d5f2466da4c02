import DriverCommands
import LinuxSystem

/// For each round a back-end process and a front-end process that are connected as any others are.
final class BlockBenchmark {
  private let daemon: BenchDaemon
  private let filePath: String
  private let seconds: Double

  private init(daemon: BenchDaemon, filePath: String, seconds: Double) {
    self.daemon = daemon
    self.filePath = filePath
    self.seconds = seconds
  }

  static func open(filePath: String, seconds: Double) async throws -> BlockBenchmark {
    BlockBenchmark(daemon: try await .open(), filePath: filePath, seconds: seconds)
  }

  /// One round, which ends after the time that was asked for, or after `requests`.
  func measure(_ blockCase: BlockCase, requests: UInt64? = nil) async throws -> BlockFigures {
    let spec = try DiskSpec.parse("\(blockCase.backing(filePath: filePath)),queues=1,id=bench,export=none")
    let disk = try await daemon.attach(.disk(spec))
    let result = Result { try runFront(of: disk, blockCase, requests) }
    let remark = try await daemon.detach(disk)
    disk.backend?.wait()
    if let remark { throw BenchFailure(remark) }
    return try result.get()
  }

  private func runFront(of disk: AttachedDevice, _ blockCase: BlockCase, _ requests: UInt64?) throws -> BlockFigures {
    var arguments = [
      "bench", "block-worker", "--run-dir", daemon.common.runDirectory.path, "\(daemon.domain)", disk.address.device.name,
      "\(disk.backendProcess)", "\(blockCase.depth)", "\(seconds)",
    ]
    if let requests { arguments += ["--requests", "\(requests)"] }
    // Pages of a memory disk that were never written are all the same page of zeros.
    if blockCase.target == .memory { arguments.append("--fill") }
    let output = try BenchProcess.numbers(printedBy: ChildProcess.ownExecutable, arguments)
    guard output.count == 4 else { throw BenchFailure("the front-end printed \(output.count) numbers") }
    return BlockFigures(
      requestsPerSecond: output[0], medianNanoseconds: output[1], tailNanoseconds: output[2], backendNanoseconds: output[3])
  }

  func close() async { await daemon.close() }
}
