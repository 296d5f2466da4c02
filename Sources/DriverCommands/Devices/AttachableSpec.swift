public import PVDriver
public import XenStoreClient
import Xenbus

/// What a user asked for of one device: what the toolstack writes for it, and what its back-end is started with.
public protocol AttachableSpec: Sendable {
  var kind: DeviceKind { get }
  /// The name under the run directory that was asked for.
  var id: String? { get }
  /// As the user wrote it.
  var text: String { get }
  /// The option of `pvio backend` that takes ``text``: `disk`, `net`, `spec`.
  var option: String { get }

  /// What the toolstack writes into both directories; nil for the front-end when its user does not come over the store.
  func keys(of address: DeviceAddress) -> (frontend: [String: String]?, backend: [String: String])
}

/// Makes a device's directories as libxl does.
public enum DeviceToolstack {
  /// Key of ours in the back-end's directory: what the user wrote.
  public static let specKey = "pvio-spec"

  /// Makes the directories of both ends unless the device is attached already: for a back-end that is started by hand.
  /// Returns whether they were made.
  public static func createUnlessThere(_ address: DeviceAddress, _ spec: any AttachableSpec, _ store: XenStoreClient) async throws -> Bool {
    if try await store.exists("\(address.paths.backend)/state") { return false }
    try await create(address, spec, store)
    return true
  }

  /// Makes the directories of both ends; fails when the device is attached already.
  public static func create(_ address: DeviceAddress, _ spec: any AttachableSpec, _ store: XenStoreClient) async throws {
    var (frontend, backend) = spec.keys(of: address)
    frontend?["trusted"] = "1"
    backend["online"] = "1"
    backend[DeviceAddress.idKey] = address.id
    backend[specKey] = spec.text
    do {
      try await ToolstackDevice(paths: address.paths, store: XenbusClientStore(store)).create(frontendKeys: frontend, backendKeys: backend)
    } catch let error as XenbusError {
      throw CommandFailure("\(error)")
    }
  }
}
