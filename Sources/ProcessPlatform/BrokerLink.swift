import BrokerWire
import Dispatch
import LinuxSystem
import Synchronization
import SystemPackage
import XenInterface
import XenPlatform

/// One connection to the broker, and the thread that reads from it: matches replies to the calls that wait for them, and
/// passes notifications on. Nothing here blocks but ``call(_:descriptors:_:)``.
final class BrokerLink: Sendable {
  /// A message from the broker, with as many descriptors as its kind has.
  struct Incoming: Sendable {
    var message: BrokerMessage
    var descriptors: [SharedDescriptor]

    /// What a reply of the wrong kind means: a refusal, or a broker that speaks nonsense.
    var unexpected: PlatformError {
      if case .failed(let failure) = message { return PlatformError(failure) }
      return .refused(operation: "the request", reason: "the daemon answered something else")
    }
  }

  private typealias Completion = @Sendable (Result<Incoming, PlatformError>) -> Void

  private struct State {
    var lastRequestID: UInt32 = 0
    var waiting: [UInt32: Completion] = [:]
    /// Packets that the broker has not taken yet, in order.
    var outgoing: [(bytes: [UInt8], descriptors: [SharedDescriptor])] = []
    var channels: [EventChannelPort: WeakChannel] = [:]
    var onDisconnect: [@Sendable () -> Void] = []
    var life = Life.open
  }
  private enum Life { case open, shuttingDown, disconnected }
  private struct WeakChannel { weak var channel: EventChannel? }

  private let state = Mutex(State())
  private let socket: OwnedDescriptor
  /// Private to this process, so that signalling it cannot block.
  private let wake: OwnedDescriptor
  /// The thread that runs handlers: a call from there would wait for itself.
  private let readerThread = Atomic<UInt>(0)

  private init(socket: consuming OwnedDescriptor, wake: consuming OwnedDescriptor) {
    self.socket = socket
    self.wake = wake
  }

  static func connect(socketPath: String) throws(PlatformError) -> BrokerLink {
    do throws(Errno) {
      let socket = try UnixSocket.connect(to: socketPath, kind: .sequencedPacket)
      let link = BrokerLink(socket: socket, wake: try EventDescriptor.create())
      try SystemThread.start(name: "pvio-broker") { link.run() }
      return link
    } catch {
      throw .system(operation: "connect to the pvio daemon at \(socketPath)", error)
    }
  }

  // MARK: - From any thread

  /// Sends a request and waits for its reply, which `interpret` turns into the result on the link's thread.
  func call<Value: Sendable>(
    _ request: BrokerRequest, descriptors: [SharedDescriptor] = [],
    _ interpret: @escaping @Sendable (Incoming) throws(PlatformError) -> Value
  ) throws(PlatformError) -> Value {
    precondition(readerThread.load(ordering: .relaxed) != SystemThread.currentID, "a handler of the platform must not call the platform")
    let answer = Answer<Value>()
    let sent = send(request, descriptors) { reply in
      answer.set(reply.flatMap { incoming in Result { () throws(PlatformError) in try interpret(incoming) } })
    }
    guard sent else { throw .disconnected }
    return try answer.wait().get()
  }

  /// Sends a request whose reply nobody waits for. Never blocks.
  func post(_ request: BrokerRequest) { _ = send(request, [], nil) }

  func onDisconnect(_ handler: @escaping @Sendable () -> Void) {
    let isGone = state.withLock { state in
      if state.life == .open { state.onDisconnect.append(handler) }
      return state.life == .disconnected
    }
    if isGone { handler() }
  }

  /// Notifications for the channel's port go to it from now on, as long as it lives.
  func remember(_ channel: EventChannel) { state.withLock { $0.channels[channel.port] = WeakChannel(channel: channel) } }

  func forget(_ port: EventChannelPort) { state.withLock { $0.channels[port] = nil } }

  /// Lets the thread end and close the connection, with everything that belongs to it.
  func shutDown() {
    state.withLock { if $0.life == .open { $0.life = .shuttingDown } }
    EventDescriptor.signal(wake)
  }

  private func send(_ request: BrokerRequest, _ descriptors: [SharedDescriptor], _ completion: Completion?) -> Bool {
    let (accepted, mustWake) = state.withLock { state in
      guard state.life == .open else { return (false, false) }
      repeat { state.lastRequestID &+= 1 } while state.lastRequestID == 0 || state.waiting[state.lastRequestID] != nil
      if let completion { state.waiting[state.lastRequestID] = completion }
      state.outgoing.append((request.encoded(requestID: state.lastRequestID), descriptors))
      if state.outgoing.count == 1 { flush(&state) }
      return (true, !state.outgoing.isEmpty)
    }
    if mustWake { EventDescriptor.signal(wake) }
    return accepted
  }

  /// Sends what the socket takes. A failure is left to the thread, which sees it when it reads.
  private func flush(_ state: inout State) {
    var sent = 0
    while sent < state.outgoing.count {
      let packet = state.outgoing[sent]
      do throws(Errno) {
        _ = try UnixSocket.send(packet.bytes, descriptors: packet.descriptors.map(\.rawValue), on: socket, nonBlocking: true)
      } catch {
        if error == .interrupted { continue }
        break
      }
      sent += 1
    }
    state.outgoing.removeFirst(sent)
  }

  // MARK: - The link's thread

  private func run() {
    readerThread.store(SystemThread.currentID, ordering: .relaxed)
    while state.withLock({ $0.life == .open }) {
      let hasOutgoing = state.withLock { !$0.outgoing.isEmpty }
      UnixSocket.waitForWork(on: socket, alsoWritable: hasOutgoing, or: wake)
      EventDescriptor.drain(wake)
      state.withLock { flush(&$0) }
      if !receiveAll() { break }
    }
    end()
  }

  /// Handles what has arrived. False when the broker is gone.
  private func receiveAll() -> Bool {
    while true {
      do throws(Errno) {
        let packet = try UnixSocket.receive(capacity: BrokerProtocol.maximumMessageByteCount, on: socket, nonBlocking: true)
        let descriptors = packet.descriptors.map { SharedDescriptor(owning: $0) }
        guard !packet.bytes.isEmpty, handle(packet.bytes, descriptors) else { return false }
      } catch {
        if error == .interrupted { continue }
        return error == .wouldBlock
      }
    }
  }

  private func handle(_ bytes: [UInt8], _ descriptors: [SharedDescriptor]) -> Bool {
    guard let (message, requestID) = try? BrokerMessage.decode(bytes), descriptors.count == message.descriptorCount else { return false }
    switch message {
    case .portClosed(let port): channel(port)?.peerDidClose()
    case .portBound(let port): channel(port)?.peerDidBind()
    default:
      let completion = state.withLock { $0.waiting.removeValue(forKey: requestID) }
      completion?(.success(Incoming(message: message, descriptors: descriptors)))
    }
    return true
  }

  private func channel(_ port: EventChannelPort) -> EventChannel? { state.withLock { $0.channels[port]?.channel } }

  private func end() {
    let (waiting, handlers) = state.withLock { state in
      let result = (state.waiting, state.life == .open ? state.onDisconnect : [])
      state.waiting = [:]
      state.outgoing = []
      state.onDisconnect = []
      state.life = .disconnected
      return result
    }
    UnixSocket.shutDown(socket)
    for completion in waiting.values { completion(.failure(.disconnected)) }
    for handler in handlers { handler() }
  }
}

/// The result of a call, awaited by the thread that made it.
private final class Answer<Value: Sendable>: Sendable {
  private let value = Mutex<Result<Value, PlatformError>?>(nil)
  private let arrived = DispatchSemaphore(value: 0)

  func set(_ result: Result<Value, PlatformError>) {
    value.withLock { $0 = result }
    arrived.signal()
  }

  func wait() -> Result<Value, PlatformError> {
    arrived.wait()
    guard let result = value.withLock({ $0 }) else { preconditionFailure("signalled without a result") }
    return result
  }
}
