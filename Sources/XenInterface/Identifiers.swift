/// A domain's number (`domid_t`). Domain 0 is the control domain; 0x7FF0 and above are reserved by Xen.
public struct DomainID: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible, Codable {
  public var rawValue: UInt16

  @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// The control domain (`DOM0`), where back-ends run unless a driver domain is used.
  public static let control = DomainID(rawValue: 0)

  /// First identifier that no ordinary domain can have (`DOMID_FIRST_RESERVED`, xen/include/public/xen.h).
  public static let firstReserved = DomainID(rawValue: 0x7FF0)

  @inlinable public static func < (left: DomainID, right: DomainID) -> Bool { left.rawValue < right.rawValue }
  public var description: String { String(rawValue) }
}

/// Names one granted page in the granter's table (`grant_ref_t`).
public struct GrantReference: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
  public var rawValue: UInt32

  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static func < (left: GrantReference, right: GrantReference) -> Bool { left.rawValue < right.rawValue }
  public var description: String { String(rawValue) }
}

/// One end of an event channel, as its own domain numbers it (`evtchn_port_t`). Zero is never a valid port.
public struct EventChannelPort: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
  public var rawValue: UInt32

  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static func < (left: EventChannelPort, right: EventChannelPort) -> Bool { left.rawValue < right.rawValue }
  public var description: String { String(rawValue) }
}

/// A free-running ring index (`RING_IDX`): it counts modulo 2³² and is masked only to address a slot.
public typealias RingIndex = UInt32

/// Bytes in a page; the unit of granting on every architecture that Xen's PV protocols are defined for.
public let pageByteCount = 4096
