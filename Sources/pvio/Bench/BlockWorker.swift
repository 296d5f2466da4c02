import ArgumentParser
import BlockFront
import DriverCommands
import LinuxSystem
import PVDriver
import ProcessPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// The front-end of the block benchmark, in a process of its own. Started by ``BlockBenchmark``, not by people.
struct BlockWorker: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "block-worker", shouldDisplay: false)

  @OptionGroup var common: CommonOptions
  @Argument var domain: UInt16
  @Argument var device: String
  @Argument var backendProcess: Int32
  @Argument var depth: Int
  @Argument var seconds: Double
  @Option var requests: UInt64 = .max
  @Flag var fill = false

  func run() async throws {
    OwnedChildProcess.endWithParent()
    let domain = DomainID(rawValue: domain)
    let platform = try DaemonConnection.platform(common.runDirectory, as: domain)
    let store = try DaemonConnection.store(common.runDirectory, as: domain)
    let address = DeviceAddress(domain: domain, device: try GuestDevice.parse(device, kind: .disk), id: "bench")
    let notices = XenbusNotices()
    let driver = BlockLoadDriver(platform: platform, bufferCount: max(depth, BlockLoad.fillDepth))
    let life = XenbusFrontend(
      driver: driver, paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: common.logger("pvio.bench"))
    let ending = Task { try await life.run() }
    guard let geometry = await driver.geometry() else { throw BenchFailure("the back-end did not connect: \(try await ending.value)") }
    let figures = try await driver.run { [self] load in
      if fill { try load.fill(geometry) }
      return try load.read(geometry, depth: depth, seconds: seconds, requests: requests, backendProcess: backendProcess, checksContents: fill)
    }
    notices.stop()
    _ = try await ending.value
    store.close()
    print(figures.requestsPerSecond, figures.medianNanoseconds, figures.tailNanoseconds, figures.backendNanoseconds)
  }
}
