import BrokerWire
import LinuxSystem
import XenInterface
import XenPlatform
public import XenStoreMigration

/// What a broker that stops hands to the one that goes on, as plain values: descriptors are numbers until ``BrokerServer/resume(_:)``
/// takes them over, so that a stream can be checked by somebody who has none of them.
public struct BrokerImport: Sendable {
  struct Domain {
    var domain: DomainID
    var listener: Int32
    var name: String
  }

  struct Connection {
    var holder: HolderID
    var socket: Int32
    var domain: DomainID
    var credentials: UnixSocket.PeerCredentials
    var saidHello: Bool
    var outgoing: [(bytes: [UInt8], descriptors: [Int32])]
  }

  struct Arena {
    var granter: DomainID
    var peer: DomainID
    var holder: HolderID
    var isReadOnly: Bool
    var pageCount: UInt32
    var firstReference: GrantReference
    /// Data, entries and status; nil when the peer domain is gone.
    var files: (Int32, Int32, Int32)?
  }

  struct ChannelEnd {
    var domain: DomainID
    var port: EventChannelPort
    var holder: HolderID
    var state: EventChannelTable.State
    var wait: Int32
    var signal: Int32
  }

  var lastConnection: UInt64 = 0
  var lastAssignedDomain: UInt16 = 0
  var domains: [Domain] = []
  var connections: [Connection] = []
  var arenas: [Arena] = []
  var ends: [ChannelEnd] = []
  var numbers: [(domain: DomainID, lastPort: UInt32, nextReference: UInt32)] = []

  public init() {}

  /// Takes a record that is about the broker; false for any other.
  public mutating func take(_ record: MigrationRecord) throws(MigrationFault) -> Bool {
    var record = record
    switch record.type {
    case .brokerState:
      lastConnection = try record.integer("last connection")
      lastAssignedDomain = try record.integer("last domain")
    case .brokerNumbers:
      numbers.append((try record.domain("domain"), try record.integer("last port"), try record.integer("next reference")))
    case .brokerDomain:
      domains.append(
        Domain(domain: try record.domain("domain"), listener: try record.descriptor("listener"), name: try record.text("name")))
    case .brokerConnection: connections.append(try connection(&record))
    case .brokerArena: arenas.append(try arena(&record))
    case .brokerChannelEnd: ends.append(try channelEnd(&record))
    default: return false
    }
    try record.finish()
    return true
  }

  /// Throws when the records do not fit each other.
  public func check() throws(MigrationFault) {
    let known = Set(domains.map(\.domain))
    guard known.contains(.control), known.count == domains.count else { throw .inconsistent("its domains are not each there once, with domain 0") }
    var holders: [HolderID: DomainID] = [:]
    for connection in connections {
      guard known.contains(connection.domain), connection.holder.rawValue <= lastConnection,
        holders.updateValue(connection.domain, forKey: connection.holder) == nil
      else { throw .inconsistent("broker connection \(connection.holder)") }
    }
    for arena in arenas {
      guard arena.pageCount > 0, holders[arena.holder] == arena.granter, known.contains(arena.granter) else {
        throw .inconsistent("the arena of domain \(arena.granter) at reference \(arena.firstReference)")
      }
    }
    for end in ends {
      guard holders[end.holder] == end.domain, known.contains(end.domain) else {
        throw .inconsistent("port \(end.port) of domain \(end.domain)")
      }
    }
  }

  private func connection(_ record: inout MigrationRecord) throws(MigrationFault) -> Connection {
    let holder = HolderID(rawValue: try record.integer("connection"))
    let socket = try record.descriptor("socket")
    let domain = try record.domain("domain")
    let credentials = UnixSocket.PeerCredentials(
      processID: try record.integer("process"), userID: try record.integer("user"), groupID: try record.integer("group"))
    let saidHello = try record.flag("hello")
    var outgoing: [(bytes: [UInt8], descriptors: [Int32])] = []
    for _ in 0..<(try record.integer("messages", UInt32.self)) {
      let bytes = Array(try record.counted("message"))
      var descriptors: [Int32] = []
      for _ in 0..<(try record.integer("descriptors", UInt8.self)) { descriptors.append(try record.descriptor("descriptor")) }
      outgoing.append((bytes, descriptors))
    }
    return Connection(holder: holder, socket: socket, domain: domain, credentials: credentials, saidHello: saidHello, outgoing: outgoing)
  }

  private func arena(_ record: inout MigrationRecord) throws(MigrationFault) -> Arena {
    var arena = Arena(
      granter: try record.domain("granter"), peer: try record.domain("peer"), holder: HolderID(rawValue: try record.integer("holder")),
      isReadOnly: try record.flag("read-only"), pageCount: try record.integer("pages"),
      firstReference: GrantReference(rawValue: try record.integer("first reference")))
    let files = (try record.integer("data", Int32.self), try record.integer("entries", Int32.self), try record.integer("status", Int32.self))
    if files != (-1, -1, -1) {
      guard files.0 >= 0, files.1 >= 0, files.2 >= 0 else { throw record.fault("descriptors") }
      arena.files = files
    }
    return arena
  }

  private func channelEnd(_ record: inout MigrationRecord) throws(MigrationFault) -> ChannelEnd {
    let domain = try record.domain("domain")
    let port = EventChannelPort(rawValue: try record.integer("port"))
    let holder = HolderID(rawValue: try record.integer("holder"))
    let state = try record.integer("state", UInt8.self)
    let remote = try record.domain("remote domain")
    let remotePort = EventChannelPort(rawValue: try record.integer("remote port"))
    let wait = try record.descriptor("wait")
    let signal = try record.descriptor("signal")
    return ChannelEnd(
      domain: domain, port: port, holder: holder,
      state: try {
        () throws(MigrationFault) -> EventChannelTable.State in
        switch state {
        case 0: return .unbound(remote: remote)
        case 1: return .interdomain(remote: remote, port: remotePort)
        case 2: return .orphaned(remote: remote)
        default: throw record.fault("state")
        }
      }(), wait: wait, signal: signal)
  }
}

extension MigrationRecord {
  fileprivate mutating func descriptor(_ field: String) throws(MigrationFault) -> Int32 {
    let number = try integer(field, Int32.self)
    guard number >= 0 else { throw fault(field) }
    return number
  }
}
