import EventLoop
import LinuxSystem
import Logging
import SharedMemory
import SystemPackage
import VirtioInterface
import VirtioRing

/// One connection of a VMM: from its first message to its end. Loop thread only.
///
/// Messages are handled one after the other. Some have to wait until requests under way have ended (the guest's memory goes, a queue
/// stops): nothing is read from the socket meanwhile.
final class VhostUserSession {
  let loop: EventLoop
  let device: VhostUserDevice
  let logger: Logger
  private let socket: OwnedDescriptor
  private var watch: DescriptorWatch?
  private var onEnd: ((VhostUserSession, VhostUserError?) -> Void)?

  // What was negotiated.
  var features: VirtioFeatures?
  var protocolFeatures: VhostUserFeatures = []
  var hasOwner = false
  var status: UInt64 = 0

  let memory = GuestMemory()
  /// Regions whose file could be made smaller under us.
  var faults: [MemoryFaults] = []
  var isCheckingFaults = false
  var vrings: [SessionVring]
  var inflight: (memory: SharedBytes, message: InflightMessage)?
  var backendChannel: SharedDescriptor?
  var logDescriptor: SharedDescriptor?

  /// The message that is being received.
  private var received: [UInt8] = []
  private var descriptors: [SharedDescriptor] = []
  /// A message waits for requests to end.
  private var isWaiting = false
  /// The message that is being handled has not been acknowledged.
  private var awaitsAcknowledgement = false

  init(_ socket: consuming OwnedDescriptor, device: VhostUserDevice, logger: Logger, onEnd: @escaping (VhostUserSession, VhostUserError?) -> Void) {
    self.socket = socket
    self.device = device
    self.logger = logger
    self.onEnd = onEnd
    loop = device.loop
    vrings = (0..<device.queueCount).map { _ in SessionVring() }
  }

  func start() {
    watch = loop.watchDescriptor(socket.rawValue, for: .readable) { [weak self] _ in self?.receive() }
    device.notifyConfigurationChange = { [weak self] in self?.sendConfigurationChange() }
  }

  var isOver: Bool { onEnd == nil }

  // MARK: Receiving

  private func receive() {
    while !isWaiting, !isOver {
      let wanted = received.count < MessageHeader.byteCount ? MessageHeader.byteCount : MessageHeader.byteCount + payloadByteCount
      if received.count == wanted, received.count >= MessageHeader.byteCount {
        handleReceived()
        continue
      }
      do throws(Errno) {
        let part = try UnixSocket.receive(capacity: wanted - received.count, on: socket, nonBlocking: true)
        descriptors += part.descriptors.map { SharedDescriptor(owning: $0) }
        if part.bytes.isEmpty { return end(received.isEmpty ? nil : VhostUserError(message: "connection", "it ended within a message")) }
        received += part.bytes
      } catch {
        if error == .wouldBlock || error == .interrupted { return }
        if error == .messageTooLong { return end(Self.tooManyDescriptors) }
        return end(VhostUserError(message: "connection", "\(error)"))
      }
      guard descriptors.count <= 8 else { return end(Self.tooManyDescriptors) }
      if received.count == MessageHeader.byteCount, let failure = headerFailure { return end(failure) }
    }
  }

  private static let tooManyDescriptors = VhostUserError(message: "connection", "more than 8 descriptors came with one message")

  private var payloadByteCount: Int { Int(MessageHeader(received).payloadByteCount) }

  private var headerFailure: VhostUserError? {
    let header = MessageHeader(received)
    let name = VhostUserRequest(rawValue: header.request)?.description ?? "message \(header.request)"
    if !header.hasKnownVersion { return VhostUserError(message: name, "its flags 0x\(String(header.flags, radix: 16)) are of no version that is known") }
    if header.isReply { return VhostUserError(message: name, "it is a reply, and nothing was asked") }
    if header.payloadByteCount > MessageHeader.payloadLimit {
      return VhostUserError(message: name, "its payload has \(header.payloadByteCount) bytes, at most \(MessageHeader.payloadLimit) are possible")
    }
    return nil
  }

  private func handleReceived() {
    let header = MessageHeader(received)
    let message = Message(
      header: header, payload: Array(received.dropFirst(MessageHeader.byteCount)), descriptors: descriptors)
    received.removeAll(keepingCapacity: true)
    descriptors = []
    awaitsAcknowledgement = true
    do throws(VhostUserError) {
      guard let request = VhostUserRequest(rawValue: header.request) else {
        throw VhostUserError(message: "message \(header.request)", "it is not known here")
      }
      let rule = MessageRule.rule(of: request)
      try rule.check(
        request, payloadByteCount: message.payload.count, descriptorCount: message.descriptors.count, negotiated: protocolFeatures)
      try handle(request, message)
      if !rule.hasReply, !isWaiting { acknowledge(header) }
    } catch {
      end(error)
    }
  }

  /// One message with all that came with it.
  struct Message {
    var header: MessageHeader
    var payload: [UInt8]
    var descriptors: [SharedDescriptor]

    var word: UInt64 { Payload.word64(payload, at: 0) }
    /// `struct vhost_vring_state`
    var vring: (index: UInt32, number: UInt32) { (Payload.word32(payload, at: 0), Payload.word32(payload, at: 4)) }
  }

  // MARK: Sending

  /// Tells the VMM that its message was obeyed, if it wants to know: once, for a message that did not have to wait after all.
  func acknowledge(_ header: MessageHeader) {
    guard awaitsAcknowledgement else { return }
    awaitsAcknowledgement = false
    guard header.needsReply, protocolFeatures.contains(.acknowledgements) else { return }
    reply(to: header, Payload.bytes(UInt64(0)))
  }

  func reply(to header: MessageHeader, _ payload: [UInt8], descriptors: [Int32] = []) {
    send(MessageHeader.reply(to: header.request, payloadByteCount: payload.count).bytes + payload, descriptors: descriptors)
  }

  private func send(_ bytes: [UInt8], descriptors: [Int32]) {
    guard !isOver else { return }
    do throws(Errno) {
      let sent = try UnixSocket.send(bytes, descriptors: descriptors, on: socket, nonBlocking: true)
      if sent < bytes.count { end(VhostUserError(message: "connection", "the VMM does not read what it asked for")) }
    } catch {
      end(VhostUserError(message: "connection", error == .wouldBlock ? "the VMM does not read what it asked for" : "\(error)"))
    }
  }

  /// Tells the VMM to read the configuration space again (`VHOST_USER_BACKEND_CONFIG_CHANGE_MSG`).
  private func sendConfigurationChange() {
    guard let channel = backendChannel else { return }
    let configurationChange: UInt32 = 2
    // A channel that is full or gone is the VMM's loss.
    _ = try? UnixSocket.send(MessageHeader.message(configurationChange, payloadByteCount: 0).bytes, on: channel.descriptor, nonBlocking: true)
  }

  // MARK: Waiting

  /// Stops all queues, does `work` when nothing is under way, starts them again, and goes on with the next message.
  func withQueuesStopped(_ header: MessageHeader, _ work: @escaping () throws(VhostUserError) -> Void) {
    wait(for: vrings.indices.filter { vrings[$0].running != nil }) { [self] in
      do throws(VhostUserError) {
        try work()
        for index in vrings.indices { try startIfComplete(index) }
        acknowledge(header)
      } catch {
        end(error)
      }
    }
  }

  /// Stops queues, and calls `done` when nothing of them is under way. No message is read until then.
  func wait(for queues: [Int], done: @escaping () -> Void) {
    isWaiting = true
    watch?.update([])
    var left = queues.count + 1
    func oneIsDone() {
      left -= 1
      guard left == 0 else { return }
      isWaiting = false
      done()
      guard !isOver else { return }
      watch?.update(.readable)
      // Not from within: many messages would nest.
      loop.schedule(afterNanoseconds: 0) { [weak self] in self?.receive() }
    }
    for index in queues { stopQueue(index, then: oneIsDone) }
    oneIsDone()
  }

  // MARK: The end

  /// Ends the connection: queues are stopped, the guest's memory goes, then `onEnd` is called.
  func end(_ failure: VhostUserError?) {
    guard let onEnd else { return }
    self.onEnd = nil
    watch?.cancel()
    watch = nil
    device.notifyConfigurationChange = nil
    descriptors = []
    UnixSocket.shutDown(socket)
    if isWaiting {
      // The message that waits notices that it is too late; its queues are stopped by then.
      finishWhenQuiet(failure, onEnd)
    } else {
      wait(for: vrings.indices.filter { vrings[$0].running != nil }) { [self] in finish(failure, onEnd) }
    }
  }

  private func finishWhenQuiet(_ failure: VhostUserError?, _ onEnd: @escaping (VhostUserSession, VhostUserError?) -> Void) {
    guard isWaiting else {
      return wait(for: vrings.indices.filter { vrings[$0].running != nil }) { [self] in finish(failure, onEnd) }
    }
    loop.schedule(afterNanoseconds: 1_000_000) { [self] in finishWhenQuiet(failure, onEnd) }
  }

  private func finish(_ failure: VhostUserError?, _ onEnd: (VhostUserSession, VhostUserError?) -> Void) {
    device.memoryChanged(GuestMemory())
    memory.dirtyLog.use(nil)
    memory.removeAll()
    faults = []
    inflight = nil
    onEnd(self, failure)
  }
}
