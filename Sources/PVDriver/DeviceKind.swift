/// A kind of device that this build can serve, as commands and the toolstack name it.
public struct DeviceKind: Sendable, Hashable {
  /// What people type: `disk`, `net`.
  public var name: String
  /// What store paths say: `vbd`, `vif`.
  public var storeName: String
  /// The sub-command of `pvio backend` that serves it: `block`, `net`.
  public var backendCommand: String

  public init(name: String, storeName: String, backendCommand: String) {
    self.name = name
    self.storeName = storeName
    self.backendCommand = backendCommand
  }

  /// Paravirtual disks (`blkif`).
  public static let disk = DeviceKind(name: "disk", storeName: "vbd", backendCommand: "block")
  /// Paravirtual network interfaces (`netif`).
  public static let net = DeviceKind(name: "net", storeName: "vif", backendCommand: "net")
}

/// The kinds that are built in: a value that the command makes and passes down, not a global that modules sign up in.
public struct DeviceKinds: Sendable {
  public let all: [DeviceKind]

  /// - Precondition: names, store names and commands are each used once.
  public init(_ all: [DeviceKind]) {
    for field in [\DeviceKind.name, \.storeName, \.backendCommand] {
      precondition(Set(all.map { $0[keyPath: field] }).count == all.count, "two device kinds share a name")
    }
    self.all = all
  }

  public func named(_ name: String) -> DeviceKind? { all.first { $0.name == name } }
  public func inStore(_ storeName: String) -> DeviceKind? { all.first { $0.storeName == storeName } }
}
