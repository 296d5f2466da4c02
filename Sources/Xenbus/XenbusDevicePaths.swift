public import XenInterface

/// Where the two ends of one device live in the store, as libxl lays them out.
public struct XenbusDevicePaths: Sendable, Hashable {
  /// The device's kind in paths: `vbd`, `vif`.
  public var kind: String
  /// What the back-end's directories are called, where that is not the device's kind: Xen leaves it to the toolstack (`qdisk`, `tap`, …), and a
  /// front-end does not care.
  public var backendKind: String
  /// The device's number within its kind: `virtual-device` for a disk (51712 is xvda), `handle` for an interface.
  public var device: UInt32
  public var frontendDomain: DomainID
  public var backendDomain: DomainID

  public init(kind: String, backendKind: String? = nil, device: UInt32, frontendDomain: DomainID, backendDomain: DomainID = .control) {
    self.kind = kind
    self.backendKind = backendKind ?? kind
    self.device = device
    self.frontendDomain = frontendDomain
    self.backendDomain = backendDomain
  }

  /// `/local/domain/<front-end>/device/<kind>/<device>`
  public var frontend: String { "/local/domain/\(frontendDomain)/device/\(kind)/\(device)" }
  /// `/local/domain/<back-end>/backend/<back-end kind>/<front-end>/<device>`
  public var backend: String { "/local/domain/\(backendDomain)/backend/\(backendKind)/\(frontendDomain)/\(device)" }
  /// `/libxl/<front-end>/device/<kind>/<device>`: the toolstack's own copy, which neither end can write.
  public var shadow: String { "/libxl/\(frontendDomain)/device/\(kind)/\(device)" }

  public func directory(of side: XenbusSide) -> String {
    switch side {
    case .frontend: frontend
    case .backend: backend
    }
  }

  public func domain(of side: XenbusSide) -> DomainID {
    switch side {
    case .frontend: frontendDomain
    case .backend: backendDomain
    }
  }

  /// Where an end writes why it failed: `error/<own path relative to its domain>/error` (`xenbus_dev_error` in Linux).
  public func error(of side: XenbusSide) -> String {
    let home = "/local/domain/\(domain(of: side))"
    return home + "/error" + directory(of: side).dropFirst(home.count) + "/error"
  }
}

extension XenbusDevicePaths: CustomStringConvertible {
  /// `vbd 51712 of domain 7`
  public var description: String { "\(kind) \(device) of domain \(frontendDomain)" }
}
