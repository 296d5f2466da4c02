import XenInterface
import XenStoreClient
import Xenbus

/// Writes and removes a disk's directories as libxl does (`libxl_disk.c`).
enum DiskToolstack {
  /// Makes the directories of both ends unless the device is attached already: for a back-end that is started by hand.
  /// Returns whether they were made.
  static func createUnlessThere(_ address: DeviceAddress, _ spec: DiskSpec, _ store: XenStoreClient) async throws -> Bool {
    if try await store.exists("\(address.paths.backend)/state") { return false }
    try await create(address, spec, store)
    return true
  }

  /// Makes the directories of both ends; fails when the device is attached already.
  static func create(_ address: DeviceAddress, _ spec: DiskSpec, _ store: XenStoreClient) async throws {
    let number = "\(address.device.number)"
    let mode = spec.isReadOnly ? "r" : "w"
    do {
      try await ToolstackDevice(paths: address.paths, store: XenbusClientStore(store)).create(
        frontendKeys: ["virtual-device": number, "device-type": "disk", "trusted": "1"],
        backendKeys: [
          "online": "1", "removable": "0", "bootable": "1", "dev": address.device.name, "type": "file", "mode": mode,
          "device-type": "disk", "direct-io-safe": spec.usesDirectIO ? "1" : "0", "discard-enable": "1", "params": spec.parameters,
          DeviceAddress.idKey: address.id,
        ])
    } catch let error as XenbusError {
      throw CommandFailure("\(error)")
    }
  }
}
