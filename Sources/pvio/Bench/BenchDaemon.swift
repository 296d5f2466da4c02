import ArgumentParser
import DriverCommands
import Glibc
import LinuxSystem
import ProcessPlatform
import XenInterface
import XenPlatform
import XenStoreClient

/// A daemon of a benchmark's own, with one domain that devices are attached to: the store, grants, event channels and rings are the real
/// ones.
final class BenchDaemon {
  let common: CommonOptions
  let domain: DomainID
  private let services: DaemonServices
  private let platform: ProcessPlatform
  private let store: XenStoreClient

  private init(common: CommonOptions, domain: DomainID, services: DaemonServices, platform: ProcessPlatform, store: XenStoreClient) {
    self.common = common
    self.domain = domain
    self.services = services
    self.platform = platform
    self.store = store
  }

  static func open() async throws -> BenchDaemon {
    let common = try CommonOptions.parse(["--run-dir", "\(RunDirectory.defaultPath)-bench-\(getpid())"])
    let services = try await DaemonServices.start(in: common.runDirectory, logger: common.logger("pvio.daemon"))
    let platform = try DaemonConnection.platform(common.runDirectory)
    let store = try DaemonConnection.store(common.runDirectory)
    let domain = try named { () throws(PlatformError) in try platform.administrator.createDomain(name: "bench") }
    return BenchDaemon(common: common, domain: domain, services: services, platform: platform, store: store)
  }

  /// Attaches a device, with a back-end process on a processor of its own unless the kernel is to choose.
  func attach(_ spec: DeviceSpec, isPinned: Bool = true) async throws -> AttachedDevice {
    try await DeviceAttachment(common: common, store: store, endsWithUs: true, backendArguments: isPinned ? ["--processor", "1"] : [])
      .attach(spec, to: domain, device: nil)
  }

  /// Returns a remark when an end did not close by itself.
  func detach(_ device: AttachedDevice) async throws -> String? {
    try await DeviceDetachment(directory: common.runDirectory, store: store).detach(device.address, patience: .seconds(10))
  }

  func close() async {
    do { try platform.administrator.destroyDomain(domain) } catch { Process.writeError("pvio: \(error)\n") }
    store.close()
    platform.disconnect()
    await services.stop()
    common.runDirectory.virtualSwitch("bench").remove()
    let path = common.runDirectory.path
    // SAFETY: each path is a terminated string for the length of the call.
    for part in ["/devices", "/domains", "/switches", "/xenstored", ""] { unsafe rmdir(path + part) }
  }
}
