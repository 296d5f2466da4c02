import BrokerWire
import EventLoop
import LinuxSystem
import SystemPackage

/// One client's socket on the loop: packets in, packets out, never blocking.
///
/// While something waits to be sent, nothing is read: a client that does not read its replies cannot ask for more.
final class BrokerConnection {
  /// Small, so that a client that does not read cannot keep many descriptors in flight: their number has a limit per user.
  static let sendBufferByteCount = 16384
  private static let messagesPerTurn = 16

  let socket: OwnedDescriptor
  private let disposal: DescriptorDisposal
  private let onMessage: ([UInt8], [SharedDescriptor]) -> Void
  private let onEnd: (String) -> Void
  private var watch: DescriptorWatch?
  private(set) var outgoing: [(bytes: [UInt8], descriptors: [SharedDescriptor])]

  init(
    socket: consuming OwnedDescriptor, loop: EventLoop, disposal: DescriptorDisposal,
    outgoing: [(bytes: [UInt8], descriptors: [SharedDescriptor])] = [], onMessage: @escaping ([UInt8], [SharedDescriptor]) -> Void,
    onEnd: @escaping (String) -> Void
  ) {
    self.socket = socket
    self.disposal = disposal
    self.outgoing = outgoing
    self.onMessage = onMessage
    self.onEnd = onEnd
    watch = loop.watchDescriptor(self.socket.rawValue, for: outgoing.isEmpty ? .readable : .writable) { [weak self] in self?.ready($0) }
  }

  var outgoingCount: Int { outgoing.count }

  /// Ends the watch; the socket is closed when the last reference goes away. No handler is called after this.
  func close() {
    watch?.cancel()
    watch = nil
    outgoing = []
  }

  /// Sends at once if possible, else as soon as the client reads. Returns why the connection is beyond use, if it is.
  func send(_ bytes: [UInt8], _ descriptors: [SharedDescriptor]) -> Errno? {
    outgoing.append((bytes, descriptors))
    return outgoing.count == 1 ? flush() : nil
  }

  private func flush() -> Errno? {
    var sent = 0
    var failure: Errno?
    while sent < outgoing.count {
      do throws(Errno) {
        let message = outgoing[sent]
        _ = try UnixSocket.send(message.bytes, descriptors: message.descriptors.map(\.rawValue), on: socket, nonBlocking: true)
        sent += 1
      } catch {
        if error == .interrupted { continue }
        if error != .wouldBlock { failure = error }
        break
      }
    }
    outgoing.removeFirst(sent)
    watch?.update(outgoing.isEmpty ? .readable : .writable)
    return failure
  }

  private func ready(_ events: PollEvents) {
    if !outgoing.isEmpty {
      if let failure = flush() { return onEnd(failure.description) }
      guard outgoing.isEmpty else {
        if !events.isDisjoint(with: [.hangUp, .error]) { onEnd("the client is gone") }
        return
      }
    }
    for _ in 0..<Self.messagesPerTurn {
      guard watch != nil, outgoing.isEmpty else { return }
      do throws(Errno) {
        let packet = try UnixSocket.receive(capacity: BrokerProtocol.maximumMessageByteCount, on: socket, nonBlocking: true)
        guard let descriptors = adopt(packet.descriptors) else { return onEnd("it sent a descriptor that is not a memory file") }
        guard !packet.bytes.isEmpty else { return onEnd("the client is gone") }
        onMessage(packet.bytes, descriptors)
      } catch {
        if error == .interrupted { continue }
        if error != .wouldBlock { onEnd(error.description) }
        return
      }
    }
  }

  /// Takes over descriptors that a client sent, or nil when one is of a kind that no request has.
  private func adopt(_ descriptors: [Int32]) -> [SharedDescriptor]? {
    let strange = descriptors.filter { !MemoryFile.isMemoryFile($0) }
    let adopted = descriptors.filter { !strange.contains($0) }.map { SharedDescriptor(owning: $0) }
    for descriptor in strange { disposal.close(descriptor) }
    return strange.isEmpty ? adopted : nil
  }
}
