import PVDriver
import ProcessPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// One device: whose it is, which one there, and what it is called under the run directory.
struct DeviceAddress: Sendable {
  var domain: DomainID
  var device: GuestDevice
  var id: String
  /// What the back-end's directory is called; nil: as the kind is called in the store. Another name keeps drivers of domain 0's kernel away.
  var backendType: String?

  /// Key of the back-end's directory that holds ``id``. Other people's tools do not know it and need not.
  static let idKey = "pvio-id"
  static let kinds = DeviceKinds([.disk, .net])

  var paths: XenbusDevicePaths { 
    XenbusDevicePaths(kind: device.kind.storeName, backendKind: backendType, device: device.number, frontendDomain: domain)
  }

  /// What a device is called that was given no name: `7-xvda`.
  static func defaultID(_ domain: DomainID, _ device: GuestDevice) -> String { "\(domain)-\(device.name)" }

  /// The attached device that `text` names in `domain`: by device name, number or id. Only of `kind`, if one is given.
  static func find(_ text: String, _ kind: DeviceKind? = nil, in domain: DomainID, _ store: XenStoreClient) async throws -> DeviceAddress {
    let devices = try await all(in: domain, store).filter { kind == nil || $0.device.kind == kind }
    if let match = devices.first(where: { $0.id == text || $0.device.name == text || "\($0.device.number)" == text }) { return match }
    let known = devices.map(\.device.name).joined(separator: ", ")
    throw CommandFailure("domain \(domain) has no \(kind?.name ?? "device") '\(text)'; it has \(known.isEmpty ? "none" : known)")
  }

  /// Every device of `domain`, disks first, in the order of their numbers.
  static func all(in domain: DomainID, _ store: XenStoreClient) async throws -> [DeviceAddress] {
    var result: [DeviceAddress] = []
    for kind in kinds.all { result += try await all(of: kind, in: domain, store) }
    return result
  }

  static func all(of kind: DeviceKind, in domain: DomainID, _ store: XenStoreClient) async throws -> [DeviceAddress] {
    var result: [DeviceAddress] = []
    for type in backendTypes(of: kind) {
      let directory = "\(backends(type))/\(domain)"
      for name in try await children(of: directory, store) {
        guard let device = UInt32(name).flatMap({ GuestDevice(kind: kind, number: $0) }) else { continue }
        let id = try await store.readIfPresent("\(directory)/\(name)/\(idKey)") ?? defaultID(domain, device)
        result.append(DeviceAddress(domain: domain, device: device, id: id, backendType: type == kind.storeName ? nil : type))
      }
    }
    return result.sorted { $0.device.number < $1.device.number }
  }

  /// Every device of every domain, by domain.
  static func all(_ store: XenStoreClient) async throws -> [DeviceAddress] {
    var domains: Set<DomainID> = []
    for type in kinds.all.flatMap({ backendTypes(of: $0) }) {
      domains.formUnion(try await children(of: backends(type), store).compactMap { UInt16($0).map(DomainID.init) })
    }
    var result: [DeviceAddress] = []
    for domain in domains.sorted() { result += try await all(in: domain, store) }
    return result
  }

  /// The first device of `kind` that `domain` has free: xvda, vif0.
  static func firstFree(_ kind: DeviceKind, in domain: DomainID, _ store: XenStoreClient) async throws -> GuestDevice {
    let used = Set(try await all(of: kind, in: domain, store).map(\.device))
    for device in GuestDevice.all(of: kind) where !used.contains(device) { return device }
    throw CommandFailure("domain \(domain) has no free \(kind.name) number")
  }

  /// What the back-ends of a kind can be called in the store: as Xen's, or by a name that is ours alone.
  static func backendTypes(of kind: DeviceKind) -> [String] { [kind.storeName, ownBackendType(of: kind)] }
  static func ownBackendType(of kind: DeviceKind) -> String { "pvio-" + kind.storeName }

  /// Where the back-ends of a type are in the store.
  static func backends(_ type: String) -> String { "/local/domain/0/backend/\(type)" }

  private static func children(of path: String, _ store: XenStoreClient) async throws -> [String] {
    do {
      return try await store.directory(path)
    } catch {
      if error.storeError == .noEntry { return [] }
      throw error
    }
  }
}
