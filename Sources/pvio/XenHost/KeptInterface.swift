import DriverCommands
import Glibc
import LinuxSystem
import Logging
import NetTap
import Xenbus
import XenStoreClient

/// The TAP interface of a guest that stays connected while back-ends come and go: it stays as well, in its bridge and with its
/// addresses, until the device is taken away.
struct KeptInterface: Sendable {
  private let configuration: TapConfiguration
  /// A back-end made it, not the administrator.
  private let isOurs: Bool

  /// Key of ours in the back-end's directory: a back-end has made the interface.
  private static let madeKey = "pvio-made-interface"

  /// Says in the store whether the interface is there already, before it is opened. Nil when the device has none.
  static func note(_ spec: NetSpec, _ address: DeviceAddress, _ store: XenStoreClient) async throws -> KeptInterface? {
    guard case .tap(let name) = spec.backing, spec.namespace == nil else { return nil }
    let path = "\(address.paths.backend)/\(madeKey)"
    let isThere = (try? OwnedDescriptor.open("/sys/class/net/\(name)", flags: O_RDONLY)) != nil
    if !isThere { try await store.write(path, "1") }
    var configuration = TapConfiguration(name)
    configuration.opening = .attach
    configuration.isPersistent = false
    configuration.isBroughtUp = false
    configuration.queueCount = spec.queueCount
    return KeptInterface(configuration: configuration, isOurs: try await store.readIfPresent(path) != nil)
  }

  /// Removes the interface if a back-end has made it. After its port was closed.
  func remove(_ logger: Logger) {
    guard isOurs else { return }
    do throws(TapError) { try TapInterface.open(configuration).close() } catch { logger.warning("\(error)") }
  }
}
