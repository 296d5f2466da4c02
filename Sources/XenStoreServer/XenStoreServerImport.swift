public import XenStoreCore
public import XenStoreMigration

/// What a server that stops hands to the one that goes on. Descriptors are numbers until ``XenStoreServer/resume(_:)`` takes them over,
/// so that a stream can be checked by somebody who has none of them.
public struct XenStoreServerImport {
  struct Listener {
    var descriptor: Int32
    var identity: XenStoreServer.Identity
    var removesFile: Bool
    var path: String
  }

  /// Everything of one stream.
  public struct Result {
    public let core: XenStoreCore
    let listeners: [Listener]
    let connections: [XenStoreImport.Connection]
    let keepsAudit: Bool
  }

  private var store = XenStoreImport()
  private var listeners: [Listener] = []

  public init() {}

  /// Takes a record that is about the store or its sockets; false for any other.
  public mutating func take(_ record: MigrationRecord) throws(MigrationFault) -> Bool {
    switch record.type {
    case .global: _ = try MigrationGlobal(record)
    case .storeListener: listeners.append(try listener(record))
    default: return try store.take(record)
    }
    return true
  }

  /// Throws when the records do not fit each other.
  public consuming func finish() throws(MigrationFault) -> Result {
    let listeners = listeners
    guard Set(listeners.map(\.path)).count == listeners.count else { throw .inconsistent("a store socket is there twice") }
    let (core, connections) = try store.finish()
    for connection in connections {
      switch connection.link.kind {
      case .socket(let descriptor) where descriptor >= 0 && connection.link.ring == nil: continue
      case .ring where connection.link.ring != nil: continue
      default: throw .inconsistent("\(connection.id) has neither a socket nor a page")
      }
    }
    return Result(core: core, listeners: listeners, connections: connections, keepsAudit: core.audit != nil)
  }

  private func listener(_ record: MigrationRecord) throws(MigrationFault) -> Listener {
    var record = record
    let descriptor = try record.integer("descriptor", Int32.self)
    guard descriptor >= 0 else { throw record.fault("descriptor") }
    let isPrivileged = try record.flag("privileged")
    let domain = try record.domain("domain")
    let listener = Listener(
      descriptor: descriptor, identity: isPrivileged ? .privileged : .domain(domain), removesFile: try record.flag("removes file"),
      path: try record.text("path"))
    try record.finish()
    return listener
  }
}
