public import PVDriver
import ProcessPlatform
import XenStoreClient

extension DeviceAddress {
  /// Looks a device of `kind` up as the control domain: everything after that happens as the device's own domain.
  /// - Parameters:
  ///   - device: by name, number or id; nil: the domain's first of its kind.
  ///   - domain: number or name.
  public static func lookUp(_ device: String?, _ kind: DeviceKind, in domain: String, _ directory: RunDirectory) async throws -> DeviceAddress {
    let platform = try DaemonConnection.platform(directory)
    defer { platform.disconnect() }
    let store = try DaemonConnection.store(directory)
    defer { store.close() }
    let domid = try DomainLookup.find(domain, platform)
    if let device { return try await find(device, kind, in: domid, store) }
    guard let first = try await all(of: kind, in: domid, store).first else {
      throw CommandFailure("domain \(domid) has no \(kind.name): attach one with 'pvio attach \(domid) \(kind.name)'")
    }
    return first
  }
}
