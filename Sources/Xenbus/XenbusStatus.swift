public import XenInterface

/// Where one end is right now, as its own process knows it.
public struct XenbusStatus: Sendable, Equatable {
  public var side: XenbusSide
  /// Name of the state in the table of `docs/xenbus-states.md`.
  public var state: String
  /// The last value of the own `state` key that was written.
  public var published: XenbusState
  /// The peer's `state` key when it was last looked at.
  public var peer: XenbusState
  /// When the state was entered.
  public var since: ContinuousClock.Instant
  /// How often the device was connected.
  public var connectionCount: UInt64
  /// Why the last attempt failed; nil once connected again.
  public var failure: String?
}

/// How a device's life ended.
public enum XenbusEnding: Sendable, Equatable {
  /// Asked to stop.
  case stopped
  /// The toolstack removed the device.
  case removed
  /// The peer's domain is gone.
  case domainReleased
  /// The back-end could not offer the device at all.
  case failed(String)
}
