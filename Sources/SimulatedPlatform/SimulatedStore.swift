import Synchronization
import XenInterface
import XenPlatform
import XenStoreClient
import XenStoreCore

/// The simulated hypervisor's store: a real one, without sockets.
final class SimulatedStore: Sendable {
  let service = XenStoreInMemoryService()
  /// The store's end of every connection, to be closed when its process dies.
  private let connections = Mutex<[(owner: HolderID, end: XenStoreLoopbackTransport)]>([])

  /// A connection of the process `owner`.
  func connect(domain: DomainID, owner: HolderID) -> XenStoreClient {
    let (client, server) = XenStoreLoopbackTransport.pair()
    let id = service.connect(domain: domain, privileged: domain == .control) { bytes in
      // A client that is gone does not hear the rest.
      try? server.send(bytes)
    } close: {
      server.close()
    }
    server.start(receive: { [service] in service.receive($0, from: id) }, closed: { [service] in service.disconnect(id) })
    connections.withLock { $0.append((owner, server)) }
    return XenStoreClient(transport: client)
  }

  /// Ends all connections of `owner`, as its death would.
  func closeConnections(of owner: HolderID) {
    let ends = connections.withLock { connections in
      let ends = connections.filter { $0.owner == owner }.map(\.end)
      connections.removeAll { $0.owner == owner }
      return ends
    }
    for end in ends { end.close() }
  }
}
