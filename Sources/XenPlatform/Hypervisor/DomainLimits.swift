/// What one domain may take from the hypervisor's side: a limit on every table that a domain can make grow.
public struct DomainLimits: Sendable, Equatable {
  /// Grant arenas that exist at the same time.
  public var arenas: Int
  /// Pages of 4096 bytes in all of them.
  public var arenaPages: Int
  /// Event channel ends, whatever their state.
  public var eventChannels: Int
  /// Processes that act for the domain at the same time.
  public var connections: Int

  public init(arenas: Int, arenaPages: Int, eventChannels: Int, connections: Int) {
    self.arenas = arenas
    self.arenaPages = arenaPages
    self.eventChannels = eventChannels
    self.connections = connections
  }

  /// For an ordinary domain: 1 GiB of grantable memory, and rings and channels for dozens of multi-queue devices.
  public static let guest = DomainLimits(arenas: 256, arenaPages: 1 << 18, eventChannels: 1024, connections: 64)

  /// For domain 0, where the back-ends of all domains run.
  public static let control = DomainLimits(arenas: 1024, arenaPages: 1 << 20, eventChannels: 16384, connections: 1024)
}

/// Who holds a port or an arena: one connection of a process to the broker, or one life of a simulated domain.
public struct HolderID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public var rawValue: UInt64

  public init(rawValue: UInt64) { self.rawValue = rawValue }

  public var description: String { String(rawValue) }
}
