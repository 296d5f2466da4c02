public import PVDriver
import XenInterface

/// Which device of a domain: its kind and its number there.
public struct GuestDevice: Sendable, Hashable, CustomStringConvertible {
  public let kind: DeviceKind
  /// Its number in store paths: a disk's virtual device, an interface's handle.
  public let number: UInt32
  /// What people call it: `xvda`, `vif0`, `entropy0`.
  public let name: String

  public var description: String { name }

  /// The device of a store path; nil when there cannot be one.
  public init?(kind: DeviceKind, number: UInt32) {
    guard let name = kind.deviceName(number) else { return nil }
    self.kind = kind
    self.number = number
    self.name = name
  }

  /// `xvda`, `51712`, `vif0`, `0`: what people write for a device of `kind`.
  public static func parse(_ text: String, kind: DeviceKind) throws -> GuestDevice {
    if let number = kind.deviceNumber(text), let device = GuestDevice(kind: kind, number: number) { return device }
    switch kind.naming {
    case .disks: throw CommandFailure.usage("'\(text)' is no device: expected a name such as xvda, or its number (51712)")
    case .numbered("vif"): throw CommandFailure.usage("'\(text)' is no network interface: expected a name such as vif0, or its number (0)")
    case .numbered(let prefix): throw CommandFailure.usage("'\(text)' is no \(kind.name): expected a name such as \(prefix)0, or its number (0)")
    }
  }

  /// All that a domain can have of a kind, in the order in which they are given out.
  public static func all(of kind: DeviceKind) -> any Sequence<GuestDevice> {
    switch kind.naming {
    case .numbered: (0..<DeviceKind.numberedCount).lazy.compactMap { GuestDevice(kind: kind, number: $0) }
    case .disks:
      sequence(first: UInt32(0)) { $0 + 1 }.lazy.map { disk in
        VirtualDevice(family: .xvd, disk: disk).flatMap { GuestDevice(kind: kind, number: $0.number) }
      }.prefix { $0 != nil }.compactMap { $0 }
    }
  }
}
