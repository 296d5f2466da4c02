import XenInterface

/// A family of front-ends, by the unit in which it counts on a disk whose sectors are larger than 512 bytes.
///
/// For years `blkif.h` did not say what a sector is there, and each family chose; since 2024 it says 512 bytes, as Linux does. On a disk with
/// sectors of 512 bytes all agree. Nothing on the wire tells the families apart, so the toolstack has to.
public enum FrontendFamily: String, Sendable, CaseIterable {
  /// Everything in 512 bytes, as `blkif.h` says now.
  case linux
  /// `sectors` and a request's sector in the disk's sectors, segments in 512 bytes.
  case freebsd
  /// `sectors` in the disk's sectors, requests and segments in 512 bytes.
  case minios
  /// Everything in the disk's sectors.
  case windows

  /// What the `sectors` key counts, as a shift from 512 bytes, on a disk with sectors of `sectorByteCount` bytes.
  public func capacityShift(sectorByteCount: Int) -> UInt64 { self == .linux ? 0 : Self.shift(sectorByteCount) }
  /// What a request's sector and a discard's length count.
  public func requestShift(sectorByteCount: Int) -> UInt64 { self == .freebsd || self == .windows ? Self.shift(sectorByteCount) : 0 }
  /// What a segment's first and last sector count.
  public func segmentShift(sectorByteCount: Int) -> Int { self == .windows ? Int(Self.shift(sectorByteCount)) : 0 }

  private static func shift(_ sectorByteCount: Int) -> UInt64 { UInt64((sectorByteCount / 512).trailingZeroBitCount) }
}

extension BlockGeometry {
  /// The keys for the back-end's directory, for front-ends of `family`.
  public func keys(for family: FrontendFamily) -> [String: String] {
    keys.merging(capacityKeys(for: family)) { _, scaled in scaled }
  }

  /// Only the size.
  public func capacityKeys(for family: FrontendFamily) -> [String: String] {
    let scaled = sectorCount >> family.capacityShift(sectorByteCount: sectorByteCount)
    return [BlkifKeys.Backend.sectorCount.name: BlkifKeys.Backend.sectorCount.format(scaled)]
  }
}
