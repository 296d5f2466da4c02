import LinuxSystem
import SharedMemory
import VirtioInterface
import VirtioRing

// What each message does. Their form has been checked.
extension VhostUserSession {
  func handle(_ request: VhostUserRequest, _ message: Message) throws(VhostUserError) {
    switch request {
    case .getFeatures: reply(to: message.header, Payload.bytes(offeredFeatures.rawValue))
    case .setFeatures: try setFeatures(VirtioFeatures(rawValue: message.word))
    case .getProtocolFeatures: reply(to: message.header, Payload.bytes(offeredProtocolFeatures.rawValue))
    case .setProtocolFeatures: try setProtocolFeatures(VhostUserFeatures(rawValue: message.word))
    case .getQueueNumber: reply(to: message.header, Payload.bytes(UInt64(vrings.count)))
    case .setOwner:
      guard !hasOwner else { throw VhostUserError(request, "this connection has been set up already") }
      hasOwner = true
    // Nobody agrees on what it does, and the specification says that it is ignored best.
    case .resetOwner: break
    case .setMemoryTable: try setMemoryTable(message)
    case .addMemoryRegion: try addMemoryRegion(message)
    case .removeMemoryRegion: removeMemoryRegion(message)
    case .getMaximumMemorySlots: reply(to: message.header, Payload.bytes(UInt64(Self.memorySlots)))
    case .setLogBase: try setLogBase(message)
    case .setLogDescriptor: logDescriptor = message.descriptors.first
    case .setVringNumber, .setVringBase, .setVringEnable, .setVringAddress, .setVringKick, .setVringCall, .setVringError, .getVringBase:
      try handleVring(request, message)
    case .setBackendChannel: backendChannel = message.descriptors.first
    case .getConfiguration: sendConfiguration(message)
    case .setConfiguration: try setConfiguration(message)
    case .getInflightDescriptor: try makeInflight(message)
    case .setInflightDescriptor: try setInflight(message)
    case .resetDevice: reset(message.header)
    case .setStatus:
      status = message.word & 0xff
      if status == 0 { reset(message.header) }
    case .getStatus: reply(to: message.header, Payload.bytes(status))
    case .setMTU:
      guard device.setMTU(message.word) else { throw VhostUserError(request, "an MTU of \(message.word) is not possible") }
    // The other end of an interface learns where the guest is from its first frame.
    case .sendRARP: break
    }
  }

  // MARK: Features

  private var offeredFeatures: VirtioFeatures { device.features.union(.offeredByAll) }
  private var offeredProtocolFeatures: VhostUserFeatures { device.protocolFeatures.union(.all) }

  private func setFeatures(_ wanted: VirtioFeatures) throws(VhostUserError) {
    let unknown = wanted.subtracting(offeredFeatures)
    guard unknown.isEmpty else {
      throw VhostUserError(.setFeatures, "features 0x\(String(unknown.rawValue, radix: 16)) were not offered")
    }
    if let features, features.symmetricDifference(wanted).subtracting(.logAll).isEmpty == false,
      let running = vrings.firstIndex(where: { $0.running != nil }) {
      throw VhostUserError(.setFeatures, "they cannot change while queue \(running) is running")
    }
    features = wanted
    memory.dirtyLog.setActive(wanted.contains(.logAll))
    // Without the protocol features there is no message that enables a queue.
    if !wanted.contains(.protocolFeatures) {
      for index in vrings.indices { vrings[index].isEnabled = true }
    }
    for index in vrings.indices { try startIfComplete(index) }
  }

  private func setProtocolFeatures(_ wanted: VhostUserFeatures) throws(VhostUserError) {
    let unknown = wanted.subtracting(offeredProtocolFeatures)
    guard unknown.isEmpty else {
      throw VhostUserError(.setProtocolFeatures, "features 0x\(String(unknown.rawValue, radix: 16)) were not offered")
    }
    protocolFeatures = wanted
  }

  // MARK: Configuration space

  private func sendConfiguration(_ message: Message) {
    let offset = Int(Payload.word32(message.payload, at: 0))
    let size = Int(Payload.word32(message.payload, at: 4))
    let space = device.configuration
    // An empty answer says that there is no such part.
    guard size == message.payload.count - 12, offset <= 256, offset + size <= 256 else { return reply(to: message.header, []) }
    let part = (offset..<offset + size).map { $0 < space.count ? space[$0] : 0 }
    reply(to: message.header, Array(message.payload.prefix(12)) + part)
  }

  private func setConfiguration(_ message: Message) throws(VhostUserError) {
    let offset = Int(Payload.word32(message.payload, at: 0))
    let size = Int(Payload.word32(message.payload, at: 4))
    guard size == message.payload.count - 12, offset + size <= 256 else {
      throw VhostUserError(.setConfiguration, "\(size) bytes at \(offset) do not fit what came, or the configuration space")
    }
    guard device.setConfiguration(Array(message.payload.dropFirst(12)), at: offset) else {
      throw VhostUserError(.setConfiguration, "\(size) bytes at \(offset) cannot be written")
    }
  }

  // MARK: Reset

  private func reset(_ header: MessageHeader) {
    withQueuesStopped(header) { [self] () throws(VhostUserError) in
      for index in vrings.indices { vrings[index] = SessionVring() }
      features = nil
      status = 0
    }
  }
}
