public import XenPlatform

/// What the broker lets its clients take.
public struct BrokerLimits: Sendable, Equatable {
  public var guest: DomainLimits
  public var control: DomainLimits
  /// Domains that exist at the same time, domain 0 included.
  public var domains: Int
  /// Messages that wait for one client to read them. A connection that exceeds it is closed: its process does not read.
  /// Large enough for the closing of every event channel that one process can have.
  public var outgoingMessages: Int

  public init(guest: DomainLimits = .guest, control: DomainLimits = .control, domains: Int = 1024, outgoingMessages: Int = 20_000) {
    self.guest = guest
    self.control = control
    self.domains = domains
    self.outgoingMessages = outgoingMessages
  }
}
