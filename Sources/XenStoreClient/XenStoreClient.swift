public import LinuxSystem
public import SystemPackage
public import XenInterface
import XenStoreWire
import Synchronization

/// A connection to a store. Any number of tasks may use it at once: requests are sent as they come, and replies find theirs.
///
/// When the connection ends, all waiting operations throw ``XenStoreClientError/connectionLost``, so do all later ones, and every watch ends.
/// ```swift
/// let store = try XenStoreClient(path: "/run/pvio/xenstored/socket")
/// let state = try await store.read("device/vbd/51712/state")
/// for await _ in try await store.watch("device/vbd/51712/state") { … }
/// ```
public final class XenStoreClient: XenStoreAccess {
  struct State {
    var parser = XenStorePacketParser()
    var lastRequestID: UInt32 = 0
    var lastToken: UInt64 = 0
    var waiting: [UInt32: Waiting] = [:]
    var watches: [String: WatchEvents] = [:]
    var isLost = false
  }

  /// An operation whose reply has not come.
  struct Waiting {
    var type: XenStoreMessageType
    var path: String
    var continuation: CheckedContinuation<Result<[UInt8], XenStoreClientError>, Never>
  }

  /// What a packet that arrived, or the end of the connection, makes due; carried out without the lock.
  private enum Due {
    case reply(Waiting, Result<[UInt8], XenStoreClientError>)
    case event(WatchEvents, XenStoreWatchEvent)
    case end(WatchEvents)
  }

  let state = Mutex(State())
  private let transport: any XenStoreTransport

  /// Speaks to the store at the other end of `transport`.
  public init(transport: any XenStoreTransport) {
    self.transport = transport
    transport.start(
      receive: { [weak self] in self?.receive($0) },
      closed: { [weak self] in self?.lose() })
  }

  /// Connects to the store's socket at `path`. Throws `ENOENT` or `ECONNREFUSED` when no store answers there.
  public convenience init(path: String) throws(Errno) {
    self.init(transport: try XenStoreSocketTransport(path: path))
  }

  /// Takes over a socket that is connected to a store.
  public convenience init(socket: consuming OwnedDescriptor) throws(Errno) {
    self.init(transport: try XenStoreSocketTransport(socket: socket))
  }

  deinit { transport.close() }

  /// Ends the connection at once.
  public func close() {
    transport.close()
    lose()
  }

  // MARK: Requests

  public func request(_ type: XenStoreMessageType, about path: String, payload: [UInt8]) async throws(XenStoreClientError) -> [UInt8] {
    try await request(type, about: path, payload: payload, transactionID: 0)
  }

  func request(
    _ type: XenStoreMessageType, about path: String, payload: [UInt8], transactionID: UInt32
  ) async throws(XenStoreClientError) -> [UInt8] {
    guard payload.count <= XenStoreProtocol.maximumPayloadByteCount else { throw .unsendable(type, path: path) }
    let result = await withCheckedContinuation { continuation in
      let requestID: UInt32? = state.withLock { state in
        guard !state.isLost else { return nil }
        // Wraps; zero is left out because events carry it.
        repeat { state.lastRequestID &+= 1 } while state.lastRequestID == 0 || state.waiting[state.lastRequestID] != nil
        state.waiting[state.lastRequestID] = Waiting(type: type, path: path, continuation: continuation)
        return state.lastRequestID
      }
      guard let requestID else { return continuation.resume(returning: .failure(.connectionLost)) }
      send(XenStorePacket(type, requestID: requestID, transactionID: transactionID, payload: payload))
    }
    return try result.get()
  }

  /// Sends a request whose reply nobody waits for.
  func sendWithoutReply(_ type: XenStoreMessageType, strings: [String]) {
    let requestID: UInt32? = state.withLock { state in
      guard !state.isLost else { return nil }
      repeat { state.lastRequestID &+= 1 } while state.lastRequestID == 0 || state.waiting[state.lastRequestID] != nil
      return state.lastRequestID
    }
    if let requestID { send(XenStorePacket(type, requestID: requestID, strings: strings)) }
  }

  private func send(_ packet: XenStorePacket) {
    do throws(XenStoreTransportClosed) {
      try transport.send(packet.encoded)
    } catch {
      lose()
    }
  }

  // MARK: Arrivals

  private func receive(_ bytes: [UInt8]) {
    let (due, isBroken): ([Due], Bool) = state.withLock { state in
      var due: [Due] = []
      state.parser.feed(bytes)
      while true {
        switch state.parser.next() {
        case .needsMoreBytes: return (due, false)
        case .violation: return (due, true)
        case .packet(let packet):
          if let one = XenStoreClient.take(packet, &state) { due.append(one) }
        }
      }
    }
    XenStoreClient.carryOut(due)
    if isBroken { close() }
  }

  private static func take(_ packet: XenStorePacket, _ state: inout State) -> Due? {
    if packet.type == .watchEvent {
      guard let strings = XenStorePayload.strings(packet.payload), strings.count == 2 else { return nil }
      let token = String(decoding: strings[1], as: UTF8.self)
      // Events of a watch that has just been ended may still be on their way.
      guard let events = state.watches[token] else { return nil }
      return .event(events, XenStoreWatchEvent(path: String(decoding: strings[0], as: UTF8.self), token: token))
    }
    guard let waiting = state.waiting.removeValue(forKey: packet.requestID) else { return nil }
    if packet.type == waiting.type { return .reply(waiting, .success(packet.payload)) }
    if packet.type == .error, let error = XenStoreError(payload: packet.payload) {
      return .reply(waiting, .failure(.refused(waiting.type, path: waiting.path, error)))
    }
    return .reply(waiting, .failure(.malformedReply(waiting.type, path: waiting.path)))
  }

  private func lose() {
    let due: [Due] = state.withLock { state in
      state.isLost = true
      defer {
        state.waiting = [:]
        state.watches = [:]
      }
      return state.waiting.values.map { .reply($0, .failure(.connectionLost)) } + state.watches.values.map { .end($0) }
    }
    XenStoreClient.carryOut(due)
  }

  private static func carryOut(_ due: [Due]) {
    for one in due {
      switch one {
      case .reply(let waiting, let result): waiting.continuation.resume(returning: result)
      case .event(let events, let event): events.append(event)
      case .end(let events): events.end()
      }
    }
  }
}
