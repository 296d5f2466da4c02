public import PVDriver
public import XenInterface
public import XenStoreClient
public import Xenbus

/// One device: whose it is, which one there, and what it is called under the run directory.
public struct DeviceAddress: Sendable {
  public var domain: DomainID
  public var device: GuestDevice
  public var id: String
  /// What the back-end's directory is called; nil: as the kind is called in the store. Another name keeps drivers of domain 0's kernel away.
  public var backendType: String?

  /// Key of the back-end's directory that holds ``id``. Other people's tools do not know it and need not.
  public static let idKey = "pvio-id"
  /// The kinds with names of their own; every other one is found in the store under its only name.
  public static let kinds = DeviceKinds([.disk, .net])

  public init(domain: DomainID, device: GuestDevice, id: String, backendType: String? = nil) {
    self.domain = domain
    self.device = device
    self.id = id
    self.backendType = backendType
  }

  public var paths: XenbusDevicePaths {
    XenbusDevicePaths(kind: device.kind.storeName, backendKind: backendType, device: device.number, frontendDomain: domain)
  }

  /// What a device is called that was given no name: `7-xvda`.
  public static func defaultID(_ domain: DomainID, _ device: GuestDevice) -> String { "\(domain)-\(device.name)" }

  /// The attached device that `text` names in `domain`: by device name, number or id. Only of `kind`, if one is given.
  public static func find(_ text: String, _ kind: DeviceKind? = nil, in domain: DomainID, _ store: XenStoreClient) async throws -> DeviceAddress {
    let devices = try await all(in: domain, store).filter { kind == nil || $0.device.kind == kind }
    if let match = devices.first(where: { $0.id == text || $0.device.name == text || "\($0.device.number)" == text }) { return match }
    let known = devices.map(\.device.name).joined(separator: ", ")
    throw CommandFailure("domain \(domain) has no \(kind?.name ?? "device") '\(text)'; it has \(known.isEmpty ? "none" : known)")
  }

  /// Every device of `domain`, disks first, in the order of their numbers.
  public static func all(in domain: DomainID, _ store: XenStoreClient) async throws -> [DeviceAddress] {
    var result: [DeviceAddress] = []
    for kind in try await kinds(store) { result += try await all(of: kind, in: domain, store) }
    return result
  }

  public static func all(of kind: DeviceKind, in domain: DomainID, _ store: XenStoreClient) async throws -> [DeviceAddress] {
    var result: [DeviceAddress] = []
    for type in backendTypes(of: kind) {
      let directory = "\(backends(type))/\(domain)"
      for name in try await children(of: directory, store) {
        guard let device = UInt32(name).flatMap({ GuestDevice(kind: kind, number: $0) }) else { continue }
        // A guest's primary console comes about beside the bus, and is of no use to anybody but its daemon.
        let frontend = try await store.readIfPresent("\(directory)/\(name)/frontend")
        let backendType = type == kind.storeName ? nil : type
        var address = DeviceAddress(domain: domain, device: device, id: defaultID(domain, device), backendType: backendType)
        if let frontend, frontend != address.paths.frontend { continue }
        if let id = try await store.readIfPresent("\(directory)/\(name)/\(idKey)") { address.id = id }
        result.append(address)
      }
    }
    return result.sorted { $0.device.number < $1.device.number }
  }

  /// Every device of every domain, by domain.
  public static func all(_ store: XenStoreClient) async throws -> [DeviceAddress] {
    var result: [DeviceAddress] = []
    for domain in try await domains(with: try await kinds(store), store) { result += try await all(in: domain, store) }
    return result
  }

  /// Every device of `kind`, by domain.
  public static func all(of kind: DeviceKind, _ store: XenStoreClient) async throws -> [DeviceAddress] {
    var result: [DeviceAddress] = []
    for domain in try await domains(with: [kind], store) { result += try await all(of: kind, in: domain, store) }
    return result
  }

  /// The domains that have devices of any of `kinds`.
  private static func domains(with kinds: [DeviceKind], _ store: XenStoreClient) async throws -> [DomainID] {
    var domains: Set<DomainID> = []
    for type in kinds.flatMap({ backendTypes(of: $0) }) {
      domains.formUnion(try await children(of: backends(type), store).compactMap { UInt16($0).map(DomainID.init) })
    }
    return domains.sorted()
  }

  /// The first device of `kind` that `domain` has free: xvda, vif0.
  public static func firstFree(_ kind: DeviceKind, in domain: DomainID, _ store: XenStoreClient) async throws -> GuestDevice {
    let used = Set(try await all(of: kind, in: domain, store).map(\.device))
    for device in GuestDevice.all(of: kind) where !used.contains(device) { return device }
    throw CommandFailure("domain \(domain) has no free \(kind.name) number")
  }

  /// What the back-ends of a kind can be called in the store: as Xen's, or by a name that is ours alone.
  public static func backendTypes(of kind: DeviceKind) -> [String] { [kind.storeName, ownBackendType(of: kind)] }
  public static func ownBackendType(of kind: DeviceKind) -> String { ownPrefix + kind.storeName }
  private static let ownPrefix = "pvio-"

  /// The kinds of all devices there are, disks and interfaces first.
  private static func kinds(_ store: XenStoreClient) async throws -> [DeviceKind] {
    let found = try await children(of: "/local/domain/0/backend", store)
      .map { kinds.inStore($0.hasPrefix(ownPrefix) ? String($0.dropFirst(ownPrefix.count)) : $0) }.filter { !kinds.all.contains($0) }
    return kinds.all + Set(found).sorted { $0.name < $1.name }
  }

  /// Where the back-ends of a type are in the store.
  public static func backends(_ type: String) -> String { "/local/domain/0/backend/\(type)" }

  private static func children(of path: String, _ store: XenStoreClient) async throws -> [String] {
    do {
      return try await store.directory(path)
    } catch {
      if error.storeError == .noEntry { return [] }
      throw error
    }
  }
}
