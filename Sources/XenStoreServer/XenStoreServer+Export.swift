import LinuxSystem
public import SystemPackage
import XenInterface
public import XenStoreCore
public import XenStoreMigration

extension XenStoreServer {
  /// Writes the store, its connections and the listening sockets, for ``XenStoreServerImport``, and adds the files that the next server
  /// must find open to `descriptors`. The server goes on as before.
  ///
  /// Throws when a connection cannot be handed over. What was committed must be durable.
  public func export(to stream: inout MigrationStreamWriter, descriptors: inout Set<Int32>) throws(XenStoreExportRefusal) {
    flush()
    let privileged = listeners.values.first { $0.identity == .privileged }
    MigrationGlobal(socket: privileged?.socket.rawValue ?? -1).append(to: &stream)
    for listener in listeners.values.sorted(by: { $0.path < $1.path }) {
      descriptors.insert(listener.socket.rawValue)
      stream.append(.storeListener) { body in
        body.put(listener.socket.rawValue)
        switch listener.identity {
        case .privileged:
          body.put(true)
          body.put(DomainID.control)
        case .domain(let domain):
          body.put(false)
          body.put(domain)
        }
        body.put(listener.removesFile)
        body.put(listener.path)
      }
    }
    var links: [XenStoreConnectionID: XenStoreMigratedLink] = [:]
    for link in connections.elements {
      guard let migrated = link.migrated else { throw XenStoreExportRefusal(connection: link.id) }
      if case .socket(let descriptor) = migrated.kind { descriptors.insert(descriptor) }
      links[link.id] = migrated
    }
    core.export(to: &stream, links: links)
  }

  /// Goes on where the server that wrote `handedOver` stopped: takes over its sockets, and maps the domains' pages again, for which
  /// the platform must have been resumed. This server must have been made with the same import's core.
  public func resume(_ handedOver: XenStoreServerImport.Result) throws(Errno) {
    precondition(core === handedOver.core, "the server has another core")
    if !handedOver.keepsAudit { core.stopAudit() }
    for listener in handedOver.listeners {
      guard listeners[listener.path] == nil else { throw .addressInUse }
      listeners[listener.path] = StoreListener(
        server: self, socket: try OwnedDescriptor(inherited: listener.descriptor), path: listener.path, identity: listener.identity,
        removesFile: listener.removesFile)
    }
    for connection in handedOver.connections {
      if let address = connection.link.ring {
        resumeRing(of: connection, at: address)
        continue
      }
      guard case .socket(let descriptor) = connection.link.kind else { continue }
      let link = SocketConnection(
        socket: try OwnedDescriptor(inherited: descriptor), id: connection.id, listenerPath: connection.link.listenerPath, server: self,
        unsent: connection.link.unsentBytes)
      enter(link)
    }
    for link in connections.elements {
      // Requests that waited for something that ended with the earlier daemon go on.
      core.receive([], from: link.id)
      pump(link)
    }
    flush()
  }
}

/// A connection that cannot be handed over.
public struct XenStoreExportRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  public let connection: XenStoreConnectionID
  public var description: String { "\(connection) of the store is not a socket and cannot be handed over" }
}
