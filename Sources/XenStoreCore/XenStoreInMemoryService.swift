public import XenInterface
import Synchronization

/// A store inside this process, for tests and simulated systems: any thread may use it, bytes go in and out through closures.
///
/// Output is delivered in order and never while the store is locked, so that a receiver may send at once.
public final class XenStoreInMemoryService: Sendable {
  private struct Client {
    let deliver: @Sendable ([UInt8]) -> Void
    let close: @Sendable () -> Void
  }

  private enum Delivery {
    case bytes([UInt8], Client)
    case close(Client)
  }

  private struct State {
    var core: XenStoreCore
    var clients: [XenStoreConnectionID: Client] = [:]
    var deliveries: [Delivery] = []
    var isDelivering = false
  }

  private let state: Mutex<State>

  public init(quotas: XenStoreQuotas = XenStoreQuotas()) {
    state = Mutex(State(core: XenStoreCore(quotas: quotas)))
  }

  /// Opens a connection. `deliver` gets what the store sends, `close` is called once when the store gives the connection up.
  public func connect(
    domain: DomainID, privileged: Bool, deliver: @escaping @Sendable ([UInt8]) -> Void, close: @escaping @Sendable () -> Void
  ) -> XenStoreConnectionID {
    state.withLock { state in
      let id = state.core.connect(domain: domain, privileged: privileged)
      state.clients[id] = Client(deliver: deliver, close: close)
      return id
    }
  }

  /// Takes bytes that the client sent.
  public func receive(_ bytes: [UInt8], from id: XenStoreConnectionID) { perform { $0.receive(bytes, from: id) } }

  /// Ends a connection from the client's side; nothing more is delivered to it.
  public func disconnect(_ id: XenStoreConnectionID) {
    state.withLock { state in
      state.clients[id] = nil
      state.core.disconnect(id)
    }
  }

  /// Ends every connection, as when the daemon goes away.
  public func closeAll() {
    perform(on: { state in
      for (id, client) in state.clients {
        state.core.disconnect(id)
        state.deliveries.append(.close(client))
      }
      state.clients = [:]
    })
  }

  /// Makes a domain known.
  public func introduce(_ domain: DomainID) { perform { $0.introduce(domain) } }

  /// Forgets a domain that died.
  public func release(_ domain: DomainID) { perform { $0.release(domain) } }

  private func perform(_ action: (XenStoreCore) -> Void) { perform(on: { action($0.core) }) }

  private func perform(on action: (inout sending State) -> Void) {
    state.withLock { state in
      action(&state)
      XenStoreInMemoryService.collect(&state)
    }
    deliverAll()
  }

  private static func collect(_ state: inout State) {
    var ready = state.core.takeReadyConnections()
    while !ready.isEmpty {
      for id in ready {
        guard let client = state.clients[id] else { continue }
        while let bytes = state.core.nextOutput(for: id) { state.deliveries.append(.bytes(bytes, client)) }
        if state.core.fault(of: id) != nil {
          state.core.disconnect(id)
          state.clients[id] = nil
          state.deliveries.append(.close(client))
        }
      }
      ready = state.core.takeReadyConnections()
    }
  }

  /// Whoever comes while another delivers leaves its part to that one.
  private func deliverAll() {
    while true {
      let batch: [Delivery] = state.withLock { state in
        if state.isDelivering { return [] }
        let batch = state.deliveries
        state.deliveries = []
        state.isDelivering = !batch.isEmpty
        return batch
      }
      if batch.isEmpty { return }
      for delivery in batch {
        switch delivery {
        case .bytes(let bytes, let client): client.deliver(bytes)
        case .close(let client): client.close()
        }
      }
      state.withLock { $0.isDelivering = false }
    }
  }
}
