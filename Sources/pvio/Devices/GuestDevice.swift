import PVDriver
import XenInterface

/// Which device of a domain: a disk by its number there, a network interface by its handle.
enum GuestDevice: Sendable, Hashable, CustomStringConvertible {
  case disk(VirtualDevice)
  /// Counted from 0.
  case interface(UInt32)

  var kind: DeviceKind {
    switch self {
    case .disk: .disk
    case .interface: .net
    }
  }

  /// Its number in store paths.
  var number: UInt32 {
    switch self {
    case .disk(let device): device.number
    case .interface(let handle): handle
    }
  }

  /// What people call it: `xvda`, `vif0`.
  var name: String {
    switch self {
    case .disk(let device): device.name
    case .interface(let handle): "vif\(handle)"
    }
  }

  var description: String { name }

  /// The device of a store path; nil when there cannot be one.
  init?(kind: DeviceKind, number: UInt32) {
    if kind == .net {
      self = .interface(number)
    } else {
      guard let device = VirtualDevice(number: number) else { return nil }
      self = .disk(device)
    }
  }

  /// `xvda`, `51712`, `vif0`, `0`: what people write for a device of `kind`.
  static func parse(_ text: String, kind: DeviceKind) throws -> GuestDevice {
    let number = UInt32(text)
    if kind == .net {
      let handle = number ?? (text.hasPrefix("vif") ? UInt32(text.dropFirst(3)) : nil)
      guard let handle, handle < 65536 else {
        throw CommandFailure.usage("'\(text)' is no network interface: expected a name such as vif0, or its number (0)")
      }
      return .interface(handle)
    }
    guard let device = number.flatMap(VirtualDevice.init(number:)) ?? VirtualDevice(name: text) else {
      throw CommandFailure.usage("'\(text)' is no device: expected a name such as xvda, or its number (51712)")
    }
    return .disk(device)
  }

  /// All that a domain can have of a kind, in the order in which they are given out.
  static func all(of kind: DeviceKind) -> any Sequence<GuestDevice> {
    kind == .net
      ? (UInt32(0)..<256).lazy.map { GuestDevice.interface($0) }
      : sequence(first: UInt32(0)) { $0 + 1 }.lazy.map { VirtualDevice(family: .xvd, disk: $0) }.prefix { $0 != nil }.map { GuestDevice.disk($0!) }
  }
}
