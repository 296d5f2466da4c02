/// The number of a block device in a guest, as the `virtual-device` key and the last part of its store path have it, and the
/// name that guests give it: 51712 is `xvda` (xen-vbd-interface(7)).
///
/// ```swift
/// VirtualDevice(name: "xvdb")?.number      // 51728
/// VirtualDevice(number: 51712)?.name       // "xvda"
/// ```
public struct VirtualDevice: Hashable, Sendable {
  /// How the guest names its disks.
  public enum Family: String, CaseIterable, Hashable, Sendable {
    /// Paravirtual disks.
    case xvd
    /// Emulated SCSI disks.
    case sd
    /// Emulated IDE disks.
    case hd
  }

  public let family: Family
  /// The disk, counted from 0.
  public let disk: UInt32
  /// The partition, counted from 1; 0 is the whole disk.
  public let partition: UInt32

  /// A device, or nil when its family has no number for it.
  ///
  /// - Parameters:
  ///   - disk: 0 to 2²⁰ − 1 for `xvd`, 0 to 15 for `sd`, 0 to 3 for `hd`.
  ///   - partition: 0 to 255 for `xvd`, 0 to 15 for `sd`, 0 to 63 for `hd`.
  public init?(family: Family, disk: UInt32, partition: UInt32 = 0) {
    switch family {
    case .xvd: guard disk < 1 << 20, partition < 256 else { return nil }
    case .sd: guard disk < 16, partition < 16 else { return nil }
    case .hd: guard disk < 4, partition < 64 else { return nil }
    }
    self.family = family
    self.disk = disk
    self.partition = partition
  }

  /// The device with `number`, or nil when no family has it.
  public init?(number: UInt32) {
    if number >> 28 == 1 {
      self.init(family: .xvd, disk: number >> 8 & 0xFFFFF, partition: number & 0xFF)
      return
    }
    switch number >> 8 {
    case VirtualDevice.xvdMajor: self.init(family: .xvd, disk: number >> 4 & 15, partition: number & 15)
    case VirtualDevice.sdMajor: self.init(family: .sd, disk: number >> 4 & 15, partition: number & 15)
    case VirtualDevice.hdMajors.0 where number & 0xFF < 128: self.init(family: .hd, disk: number >> 6 & 1, partition: number & 63)
    case VirtualDevice.hdMajors.1 where number & 0xFF < 128: self.init(family: .hd, disk: 2 + (number >> 6 & 1), partition: number & 63)
    default: return nil
    }
  }

  /// The device with a name like `xvda`, `xvdaa` or `sdb1`; nil for anything else.
  public init?(name: String) {
    guard let family = Family.allCases.first(where: { name.hasPrefix($0.rawValue) }) else { return nil }
    let rest = name.dropFirst(family.rawValue.count)
    let letters = rest.prefix { $0.isASCII && $0.isLowercase }
    let digits = rest.dropFirst(letters.count)
    // Five letters are more disks than any family has; longer ones must not overflow the number.
    guard (1...5).contains(letters.count), digits.allSatisfy({ $0.isASCII && $0.isNumber }), digits.first != "0" else { return nil }
    let disk = letters.utf8.reduce(UInt32(0)) { $0 * 26 + UInt32($1 - UInt8(ascii: "a")) + 1 } - 1
    guard let partition = digits.isEmpty ? 0 : UInt32(digits) else { return nil }
    self.init(family: family, disk: disk, partition: partition)
  }

  /// Value of the `virtual-device` key. The wide form is used only where the narrow one has no room, as the text demands.
  public var number: UInt32 {
    switch family {
    case .xvd where disk < 16 && partition < 16: VirtualDevice.xvdMajor << 8 | disk << 4 | partition
    case .xvd: 1 << 28 | disk << 8 | partition
    case .sd: VirtualDevice.sdMajor << 8 | disk << 4 | partition
    case .hd where disk < 2: VirtualDevice.hdMajors.0 << 8 | disk << 6 | partition
    case .hd: VirtualDevice.hdMajors.1 << 8 | (disk - 2) << 6 | partition
    }
  }

  /// The guest's name for the device, for example `xvda` or `xvdaa1`.
  public var name: String {
    var letters: [Character] = []
    var rest = disk + 1
    while rest > 0 {
      rest -= 1
      letters.append(Character(Unicode.Scalar(UInt8(ascii: "a") + UInt8(rest % 26))))
      rest /= 26
    }
    return family.rawValue + String(letters.reversed()) + (partition == 0 ? "" : String(partition))
  }

  /// Linux's major numbers of the families (xen-vbd-interface(7)).
  private static let xvdMajor: UInt32 = 202
  private static let sdMajor: UInt32 = 8
  private static let hdMajors: (UInt32, UInt32) = (3, 22)
}

extension VirtualDevice: CustomStringConvertible {
  public var description: String { name }
}
