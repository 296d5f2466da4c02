import ArgumentParser
import DriverCommands
import Glibc
import LinuxSystem
import Logging
import ProcessPlatform
import XenInterface
import XenPlatform
import XenStoreClient

/// A daemon of its own, and for each round a back-end process and a front-end process that are connected as any others are:
/// the store, grants, event channels and rings are the real ones.
final class BlockBenchmark {
  private let services: DaemonServices
  private let common: CommonOptions
  private let platform: ProcessPlatform
  private let store: XenStoreClient
  private let domain: DomainID
  private let filePath: String
  private let seconds: Double

  private init(
    services: DaemonServices, common: CommonOptions, platform: ProcessPlatform, store: XenStoreClient, domain: DomainID, filePath: String,
    seconds: Double
  ) {
    self.services = services
    self.common = common
    self.platform = platform
    self.store = store
    self.domain = domain
    self.filePath = filePath
    self.seconds = seconds
  }

  static func open(filePath: String, seconds: Double) async throws -> BlockBenchmark {
    let common = try CommonOptions.parse(["--run-dir", "\(RunDirectory.defaultPath)-bench-\(getpid())"])
    let services = try await DaemonServices.start(in: common.runDirectory, logger: common.logger("pvio.daemon"))
    let platform = try DaemonConnection.platform(common.runDirectory)
    let store = try DaemonConnection.store(common.runDirectory)
    let domain = try named { () throws(PlatformError) in try platform.administrator.createDomain(name: "bench") }
    return BlockBenchmark(
      services: services, common: common, platform: platform, store: store, domain: domain, filePath: filePath, seconds: seconds)
  }

  /// One round, which ends after the time that was asked for, or after `requests`.
  func measure(_ blockCase: BlockCase, requests: UInt64? = nil) async throws -> BlockFigures {
    let spec = try DiskSpec.parse("\(blockCase.backing(filePath: filePath)),queues=1,id=bench,export=none")
    let attachment = DeviceAttachment(common: common, store: store, endsWithUs: true, backendArguments: ["--processor", "1"])
    let disk = try await attachment.attach(.disk(spec), to: domain, device: nil)
    let result = Result { try runFront(of: disk, blockCase, requests) }
    let remark = try await DeviceDetachment(directory: common.runDirectory, store: store).detach(disk.address, patience: .seconds(10))
    disk.backend?.wait()
    if let remark { throw BenchFailure(remark) }
    return try result.get()
  }

  private func runFront(of disk: AttachedDevice, _ blockCase: BlockCase, _ requests: UInt64?) throws -> BlockFigures {
    var arguments = [
      "bench", "block-worker", "--run-dir", common.runDirectory.path, "\(domain)", disk.address.device.name,
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

  func close() async {
    do { try platform.administrator.destroyDomain(domain) } catch { Process.writeError("pvio: \(error)\n") }
    store.close()
    platform.disconnect()
    await services.stop()
    let path = common.runDirectory.path
    // SAFETY: each path is a terminated string for the length of the call.
    for part in ["/devices", "/domains", "/xenstored", ""] { unsafe rmdir(path + part) }
  }
}
