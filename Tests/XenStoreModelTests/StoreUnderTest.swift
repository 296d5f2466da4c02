import XenInterface
import XenStoreCore
import XenStoreWire

/// What one operation makes clients get, whole packets in order, by client.
typealias Received = [Int: [XenStorePacket]]

/// A store that schedules are run on.
protocol StoreUnderTest: AnyObject {
  func connect(_ client: Int, domain: Int) throws
  func disconnect(_ client: Int) throws
  /// Everything that comes of a request, the reply included.
  func perform(_ request: XenStorePacket, from client: Int) throws -> Received
  /// Clients whose connection the store has ended since the last call.
  func takeEnded() -> [Int]
}

/// The store's core in this process.
final class CoreUnderTest: StoreUnderTest {
  let core: XenStoreCore
  private var connections: [Int: XenStoreConnectionID] = [:]

  init(limits: ReferenceStore.Limits) {
    var quotas = XenStoreQuotas()
    quotas.nodesPerDomain = limits.nodes
    quotas.watchesPerDomain = limits.watches
    quotas.transactionsPerDomain = limits.transactions
    quotas.permissionsPerNode = limits.permissions
    core = XenStoreCore(quotas: quotas)
  }

  func connect(_ client: Int, domain: Int) {
    connections[client] = core.connect(domain: DomainID(rawValue: UInt16(domain)), privileged: domain == 0)
  }

  func disconnect(_ client: Int) {
    if let connection = connections.removeValue(forKey: client) { core.disconnect(connection) }
  }

  func perform(_ request: XenStorePacket, from client: Int) -> Received {
    core.receive(request.encoded, from: connections[client]!)
    var received: Received = [:]
    for (client, connection) in connections {
      var parser = XenStorePacketParser()
      while let bytes = core.nextOutput(for: connection) {
        parser.feed(bytes)
        if case .packet(let packet) = parser.next() { received[client, default: []].append(packet) }
      }
    }
    return received
  }

  func takeEnded() -> [Int] {
    let ended = connections.filter { core.fault(of: $0.value) != nil }.map(\.key)
    for client in ended { disconnect(client) }
    return ended
  }
}
