import ArgumentParser
import Glibc
import LinuxSystem
import XenInterface
import XenStoreClient
import Xenbus

/// `pvio detach`: takes a device from its domain; both ends finish what they have.
struct DetachCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "detach", abstract: "Detach a device.")

  @OptionGroup var common: CommonOptions
  @Option(help: "Seconds to wait for both ends to close before the device is removed all the same.") var patience = 10.0
  @Argument(help: "The domain, by number or name.") var domain: String
  @Argument(help: "The device: xvda, 51712 or its id.") var device: String

  func run() async throws {
    let platform = try DaemonConnection.platform(common.runDirectory)
    let store = try DaemonConnection.store(common.runDirectory)
    defer { store.close() }
    let address = try await DeviceAddress.find(device, in: DomainLookup.find(domain, platform), store)
    if let remark = try await DiskDetachment(directory: common.runDirectory, store: store).detach(address, patience: .seconds(patience)) {
      Process.writeError("pvio: \(remark)\n")
    }
  }
}

/// Removes a disk: asks both ends to close, removes the directories, waits for the processes, removes the files.
struct DiskDetachment {
  let directory: RunDirectory
  let store: XenStoreClient

  /// Returns a remark when an end did not close by itself.
  func detach(_ address: DeviceAddress, patience: Duration) async throws -> String? {
    let files = directory.device(address.id)
    let remark = try await ToolstackDevice(paths: address.paths, store: XenbusClientStore(store)).remove(
      patience: try await isInUse(address) ? patience : min(patience, .seconds(1)))
    // The processes see the removal and end; their files go after them.
    for _ in 0..<500 where [files.backendLock, files.frontendLock].contains(where: { LockedFile.holder(of: $0) != nil }) {
      try await Task.sleep(for: .milliseconds(10))
    }
    for lock in [files.backendLock, files.frontendLock] {
      if let holder = LockedFile.holder(of: lock) { kill(holder, SIGTERM) }
    }
    files.remove()
    return remark
  }

  /// Whether there is a front-end, as far as can be seen: one that holds our lock, or one that has begun.
  private func isInUse(_ address: DeviceAddress) async throws -> Bool {
    if LockedFile.holder(of: directory.device(address.id).frontendLock) != nil { return true }
    let state = XenbusState(storeValue: try await store.readIfPresent("\(address.paths.frontend)/state"))
    return state != .initialising && state != .unknown
  }
}
