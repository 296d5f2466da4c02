public import XenInterface

/// One domain, as `pvio domain list` shows it.
public struct DomainDescription: Sendable, Equatable {
  public var domain: DomainID
  public var name: String
  /// Processes connected as this domain.
  public var connectionCount: UInt32
  public var arenaCount: UInt32
  /// Pages of 4096 bytes in its arenas.
  public var arenaPageCount: UInt32
  public var eventChannelCount: UInt32

  public init(
    domain: DomainID, name: String, connectionCount: UInt32, arenaCount: UInt32, arenaPageCount: UInt32, eventChannelCount: UInt32
  ) {
    self.domain = domain
    self.name = name
    self.connectionCount = connectionCount
    self.arenaCount = arenaCount
    self.arenaPageCount = arenaPageCount
    self.eventChannelCount = eventChannelCount
  }

  func write(to writer: inout WireWriter) {
    writer.put(domain)
    writer.put(name)
    for count in [connectionCount, arenaCount, arenaPageCount, eventChannelCount] { writer.put(count) }
  }

  init(from reader: inout WireReader) throws(BrokerWireError) {
    domain = try reader.domain()
    name = try reader.text("name")
    connectionCount = try reader.integer()
    arenaCount = try reader.integer()
    arenaPageCount = try reader.integer()
    eventChannelCount = try reader.integer()
  }
}

/// One process that acts for a domain, as the kernel recorded it when it connected (`SO_PEERCRED`).
public struct ConnectionDescription: Sendable, Equatable {
  /// Counts up from 1; never used twice.
  public var id: UInt64
  public var domain: DomainID
  public var processID: UInt32
  public var userID: UInt32

  public init(id: UInt64, domain: DomainID, processID: UInt32, userID: UInt32) {
    self.id = id
    self.domain = domain
    self.processID = processID
    self.userID = userID
  }

  func write(to writer: inout WireWriter) {
    writer.put(id)
    writer.put(domain)
    writer.put(processID)
    writer.put(userID)
  }

  init(from reader: inout WireReader) throws(BrokerWireError) {
    id = try reader.integer()
    domain = try reader.domain()
    processID = try reader.integer()
    userID = try reader.integer()
  }
}

/// One end of an event channel.
public struct PortDescription: Sendable, Equatable {
  public var port: EventChannelPort
  /// Process that holds the end.
  public var processID: UInt32
  public var remoteDomain: DomainID
  /// Set when a process of the remote domain has bound (`EVTCHNSTAT_interdomain`); nil while unbound.
  public var remotePort: EventChannelPort?

  public init(port: EventChannelPort, processID: UInt32, remoteDomain: DomainID, remotePort: EventChannelPort?) {
    self.port = port
    self.processID = processID
    self.remoteDomain = remoteDomain
    self.remotePort = remotePort
  }

  func write(to writer: inout WireWriter) {
    writer.put(port)
    writer.put(processID)
    writer.put(remoteDomain)
    writer.put(remotePort?.rawValue ?? 0)
  }

  init(from reader: inout WireReader) throws(BrokerWireError) {
    port = try reader.port()
    processID = try reader.integer()
    remoteDomain = try reader.domain()
    let remote = try reader.port()
    remotePort = remote.rawValue == 0 ? nil : remote
  }
}
