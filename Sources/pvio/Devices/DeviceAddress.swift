import ProcessPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// One disk: whose it is, which number it has there, and what it is called under the run directory.
struct DeviceAddress: Sendable {
  var domain: DomainID
  var device: VirtualDevice
  var id: String

  static let kind = "vbd"
  /// Key of the back-end's directory that holds ``id``. Other people's tools do not know it and need not.
  static let idKey = "pvio-id"

  var paths: XenbusDevicePaths { XenbusDevicePaths(kind: Self.kind, device: device.number, frontendDomain: domain) }

  /// What a disk is called that was given no name: `7-xvda`.
  static func defaultID(_ domain: DomainID, _ device: VirtualDevice) -> String { "\(domain)-\(device.name)" }

  /// `xvda`, `51712`: what people write for a device.
  static func parse(_ text: String) throws -> VirtualDevice {
    let number = UInt32(text)
    guard let device = number.flatMap(VirtualDevice.init(number:)) ?? VirtualDevice(name: text) else {
      throw CommandFailure.usage("'\(text)' is no device: expected a name such as xvda, or its number (51712)")
    }
    return device
  }

  /// The attached disk that `text` names in `domain`: by device name, number or id.
  static func find(_ text: String, in domain: DomainID, _ store: XenStoreClient) async throws -> DeviceAddress {
    let devices = try await all(in: domain, store)
    if let match = devices.first(where: { $0.id == text || $0.device.name == text || "\($0.device.number)" == text }) { return match }
    let known = devices.map(\.device.name).joined(separator: ", ")
    throw CommandFailure("domain \(domain) has no disk '\(text)'; it has \(known.isEmpty ? "none" : known)")
  }

  /// Every disk of `domain`, in the order of their numbers.
  static func all(in domain: DomainID, _ store: XenStoreClient) async throws -> [DeviceAddress] {
    let directory = "/local/domain/0/backend/\(kind)/\(domain)"
    var result: [DeviceAddress] = []
    for name in try await children(of: directory, store) {
      guard let device = UInt32(name).flatMap(VirtualDevice.init(number:)) else { continue }
      let id = try await store.readIfPresent("\(directory)/\(name)/\(idKey)") ?? defaultID(domain, device)
      result.append(DeviceAddress(domain: domain, device: device, id: id))
    }
    return result.sorted { $0.device.number < $1.device.number }
  }

  /// Every disk of every domain.
  static func all(_ store: XenStoreClient) async throws -> [DeviceAddress] {
    let domains = try await children(of: "/local/domain/0/backend/\(kind)", store).compactMap { UInt16($0).map(DomainID.init) }
    var result: [DeviceAddress] = []
    for domain in domains.sorted() { result += try await all(in: domain, store) }
    return result
  }

  /// The first xvd name of `domain` that is free.
  static func firstFree(in domain: DomainID, _ store: XenStoreClient) async throws -> VirtualDevice {
    let used = Set(try await all(in: domain, store).map(\.device.number))
    for disk in UInt32(0)... {
      guard let device = VirtualDevice(family: .xvd, disk: disk) else { break }
      if !used.contains(device.number) { return device }
    }
    throw CommandFailure("domain \(domain) has no free device number")
  }

  private static func children(of path: String, _ store: XenStoreClient) async throws -> [String] {
    do {
      return try await store.directory(path)
    } catch {
      if error.storeError == .noEntry { return [] }
      throw error
    }
  }
}
