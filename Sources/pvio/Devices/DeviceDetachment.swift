import DriverCommands
import Glibc
import LinuxSystem
import XenInterface
import XenStoreClient
import Xenbus

/// Removes a device: asks both ends to close, removes the directories, waits for the processes, removes the files.
struct DeviceDetachment {
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
