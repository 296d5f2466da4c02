import XenInterface

/// A kind of device, as commands, the toolstack and store paths name it.
///
/// A driver declares its own in one line, `DeviceKind("entropy")`; nothing else need know of it, because what is attached
/// is found in the store.
public struct DeviceKind: Sendable, Hashable {
  /// What people type: `disk`, `net`, `entropy`.
  public var name: String
  /// What store paths say: `vbd`, `vif`, `entropy`.
  public var storeName: String
  /// The sub-command of `pvio backend` that serves it: `block`, `net`, `entropy`.
  public var backendCommand: String
  /// How a domain's devices of this kind are called.
  public var naming: Naming

  /// How devices of one kind are called in their domain.
  public enum Naming: Sendable, Hashable {
    /// As Xen's disks: `xvda` is 51712.
    case disks
    /// A word and a number counted from 0: `vif0`.
    case numbered(prefix: String)
  }

  public init(name: String, storeName: String, backendCommand: String, naming: Naming) {
    self.name = name
    self.storeName = storeName
    self.backendCommand = backendCommand
    self.naming = naming
  }

  /// A kind that has one name everywhere: its first device is `entropy0`, at `device/entropy/0`.
  public init(_ name: String) {
    self.init(name: name, storeName: name, backendCommand: name, naming: .numbered(prefix: name))
  }

  /// Paravirtual disks (`blkif`).
  public static let disk = DeviceKind(name: "disk", storeName: "vbd", backendCommand: "block", naming: .disks)
  /// Paravirtual network interfaces (`netif`).
  public static let net = DeviceKind(name: "net", storeName: "vif", backendCommand: "net", naming: .numbered(prefix: "vif"))
}

extension DeviceKind {
  /// Most devices of a numbered kind that are given out by themselves in one domain.
  public static let numberedCount: UInt32 = 256

  /// What people call the device with `number`; nil when there cannot be one.
  public func deviceName(_ number: UInt32) -> String? {
    switch naming {
    case .disks: VirtualDevice(number: number)?.name
    case .numbered(let prefix): number < 65536 ? "\(prefix)\(number)" : nil
    }
  }

  /// The number of the device that `text` names, by name or number; nil when it names none of this kind.
  public func deviceNumber(_ text: String) -> UInt32? {
    let number = UInt32(text)
    switch naming {
    case .disks: return (number.flatMap(VirtualDevice.init(number:)) ?? VirtualDevice(name: text))?.number
    case .numbered(let prefix):
      let given = number ?? (text.hasPrefix(prefix) ? UInt32(text.dropFirst(prefix.count)) : nil)
      return given.flatMap { $0 < 65536 ? $0 : nil }
    }
  }
}

/// The kinds that have names of their own: a value that the command makes and passes down, not a global that modules sign up in.
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

  /// The kind whose devices are in directories called `storeName`. One that is not known has that name everywhere.
  public func inStore(_ storeName: String) -> DeviceKind { all.first { $0.storeName == storeName } ?? DeviceKind(storeName) }
}
