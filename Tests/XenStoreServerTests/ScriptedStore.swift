import Synchronization
import SystemPackage
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreWire

/// A store that a test plays itself: it sees each request, answers when it likes, and ends the connection when it likes.
final class ScriptedStore: Sendable {
  private struct State {
    var parser = XenStorePacketParser()
    var requests: [XenStorePacket] = []
    var peer: XenStoreLoopbackTransport?
    var isReachable = true
  }

  private let state: Arrivals
  let client: XenStoreClient

  private final class Arrivals: Sendable {
    let state = Mutex(State())

    func connect() throws(Errno) -> any XenStoreTransport {
      guard state.withLock({ $0.isReachable }) else { throw .connectionRefused }
      let (transport, peer) = XenStoreLoopbackTransport.pair()
      state.withLock { state in
        state.peer = peer
        state.parser = XenStorePacketParser()
      }
      peer.start(
        receive: { [self] bytes in
          state.withLock { state in
            state.parser.feed(bytes)
            while case .packet(let packet) = state.parser.next() { state.requests.append(packet) }
          }
        }, closed: {})
      return transport
    }
  }

  init(_ configuration: XenStoreClient.Configuration = XenStoreClient.Configuration()) throws {
    let arrivals = Arrivals()
    state = arrivals
    var configuration = configuration
    configuration.reconnectBackOff = XenStoreBackOff(first: .milliseconds(1), longest: .milliseconds(2))
    client = try XenStoreClient(configuration: configuration) { () throws(Errno) in try arrivals.connect() }
  }

  /// What arrived and has not been taken, once there are so many.
  func requests(_ count: Int) async -> [XenStorePacket] {
    while state.state.withLock({ $0.requests.count }) < count { await Task.yield() }
    return state.state.withLock { state in
      defer { state.requests = [] }
      return state.requests
    }
  }

  func request() async -> XenStorePacket { await requests(1)[0] }

  func answer(_ request: XenStorePacket, _ text: String) { answer(request, Array(text.utf8)) }

  func answer(_ request: XenStorePacket, _ payload: [UInt8] = Array("OK\0".utf8)) {
    send(XenStorePacket(request.type ?? .error, requestID: request.requestID, payload: payload))
  }

  func send(_ packet: XenStorePacket) {
    do { try state.state.withLock { $0.peer }?.send(packet.encoded) } catch {}
  }

  /// Ends the connection; `comesBack` says whether another one can be made at once.
  func cut(comesBack: Bool = true) {
    let peer = state.state.withLock { state in
      state.isReachable = comesBack
      return state.peer
    }
    peer?.close()
  }

  func comeBack() { state.state.withLock { $0.isReachable = true } }
}

/// A store in this process that can go away and come back, and a way to it.
final class ComingAndGoingStore: Sendable {
  private struct State {
    var service: XenStoreInMemoryService? = XenStoreInMemoryService()
    var refusalsToCome = 0
    var connections = 0
  }

  private let state = Mutex(State())

  /// Connections that were made so far.
  var connectionCount: Int { state.withLock { $0.connections } }

  func makeClient(_ configuration: XenStoreClient.Configuration) throws -> XenStoreClient {
    var configuration = configuration
    configuration.reconnectBackOff = XenStoreBackOff(first: .milliseconds(1), longest: .milliseconds(2))
    return try XenStoreClient(configuration: configuration) { () throws(Errno) in try self.connect() }
  }

  func connect() throws(Errno) -> any XenStoreTransport {
    let service = state.withLock { state in
      if state.service != nil { state.connections += 1 }
      return state.service
    }
    guard let service else { throw .connectionRefused }
    let (client, server) = XenStoreLoopbackTransport.pair()
    let id = service.connect(domain: .control, privileged: true) { bytes in
      do { try server.send(bytes) } catch {}
    } close: {
      server.close()
    }
    server.start(receive: { service.receive($0, from: id) }, closed: { service.disconnect(id) })
    return client
  }

  /// Ends the store with everything in it.
  func stop() {
    let service = state.withLock { state in
      defer { state.service = nil }
      return state.service
    }
    service?.closeAll()
  }

  /// Begins with an empty store.
  func start() { state.withLock { $0.service = XenStoreInMemoryService() } }
}
