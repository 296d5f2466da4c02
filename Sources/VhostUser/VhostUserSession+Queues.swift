import EventLoop
import LinuxSystem
import Logging
import SharedMemory
import SystemPackage
import VirtioInterface
import VirtioRing

// Queues: what the VMM says of them, and when they run.
extension VhostUserSession {
  /// Bit of a kick, call or error message that says that no descriptor comes (`VHOST_USER_VRING_NOFD_MASK`).
  private static let noDescriptor: UInt64 = 1 << 8
  /// How often a queue without kicks is looked at, while nothing else keeps the loop awake.
  private static let lookNanoseconds: UInt64 = 100_000

  func handleVring(_ request: VhostUserRequest, _ message: Message) throws(VhostUserError) {
    switch request {
    case .setVringNumber:
      let index = try stoppedQueue(message.vring.index, request)
      let count = Int(message.vring.number)
      guard count > 0, count <= DeviceQueue.entryLimit else {
        throw VhostUserError(request, "queue \(index) cannot have \(count) entries: expected 1 to \(DeviceQueue.entryLimit)")
      }
      if let features, !features.contains(.ringPacked), count.nonzeroBitCount != 1 {
        throw VhostUserError(request, "queue \(index) cannot have \(count) entries: a split queue has a power of two")
      }
      vrings[index].entryCount = count
    case .setVringBase: vrings[try stoppedQueue(message.vring.index, request)].base = message.vring.number
    case .setVringAddress: try setAddress(VringAddressMessage(message.payload))
    case .setVringEnable:
      let index = try queue(message.vring.index, request)
      vrings[index].isEnabled = message.vring.number != 0
      if vrings[index].isEnabled { return try startIfComplete(index) }
      if vrings[index].running != nil { withQueueStopped(index, message.header) }
    case .setVringKick:
      let index = try stoppedQueue(UInt32(message.word & 0xff), request)
      vrings[index].kick = try descriptor(of: message, request)
      vrings[index].hasKick = true
      try startIfComplete(index)
    case .setVringCall:
      let index = try queue(UInt32(message.word & 0xff), request)
      vrings[index].call = try descriptor(of: message, request)
      if let running = vrings[index].running { try connectEvents(of: running) }
    case .setVringError: vrings[try queue(UInt32(message.word & 0xff), request)].error = try descriptor(of: message, request)
    case .getVringBase:
      let index = try queue(message.vring.index, request)
      wait(for: vrings[index].running == nil ? [] : [index]) { [self] in
        vrings[index].hasKick = false
        vrings[index].kick = nil
        reply(to: message.header, Payload.bytes(UInt32(index)) + Payload.bytes(vrings[index].base ?? 0))
      }
    default: preconditionFailure("\(request) is about no queue")
    }
  }

  private func queue(_ index: UInt32, _ request: VhostUserRequest) throws(VhostUserError) -> Int {
    guard index < vrings.count else { throw VhostUserError(request, "there is no queue \(index), only \(vrings.count)") }
    return Int(index)
  }

  private func stoppedQueue(_ index: UInt32, _ request: VhostUserRequest) throws(VhostUserError) -> Int {
    let index = try queue(index, request)
    guard vrings[index].running == nil else { throw VhostUserError(request, "queue \(index) is running") }
    return index
  }

  private func descriptor(of message: Message, _ request: VhostUserRequest) throws(VhostUserError) -> SharedDescriptor? {
    let saysNone = message.word & Self.noDescriptor != 0
    guard saysNone == message.descriptors.isEmpty else {
      throw VhostUserError(request, saysNone ? "a descriptor came although it says that none does" : "no descriptor came with it")
    }
    return message.descriptors.first
  }

  private func setAddress(_ address: VringAddressMessage) throws(VhostUserError) {
    let index = try queue(address.queue, .setVringAddress)
    // A migration begins while queues run: all that may change then is whether writes are marked.
    if let old = vrings[index].address, vrings[index].running != nil {
      guard old.descriptors == address.descriptors, old.driver == address.driver, old.device == address.device else {
        throw VhostUserError(.setVringAddress, "queue \(index) is running and cannot move")
      }
      vrings[index].running?.ring.value.markWrites(at: address.marksWrites ? address.logAddress : nil)
    }
    vrings[index].address = address
    try startIfComplete(index)
  }

  // MARK: Start

  /// Starts a queue when the VMM has said everything.
  func startIfComplete(_ index: Int) throws(VhostUserError) {
    let vring = vrings[index]
    guard vring.running == nil, vring.isComplete, let features, let address = vring.address, let entryCount = vring.entryCount else { return }
    let format: DeviceQueue.Format = features.contains(.ringPacked) ? .packed : .split
    let sizes = DeviceQueue.partByteCounts(format, entryCount: entryCount)
    let parts = DeviceQueue.Parts(
      descriptors: try part(address.descriptors, sizes.descriptors, index, .descriptors), driver: try part(address.driver, sizes.driver, index, .driver),
      device: try part(address.device, sizes.device, index, .device), logAddress: address.marksWrites ? address.logAddress : nil)
    let queue: VhostUserQueue
    do throws(VirtqueueFault) {
      let ring = try DeviceQueue(
        format, entryCount: entryCount, parts: parts,
        features: DeviceQueue.Features(
          eventIndex: features.contains(.eventIndex), indirect: features.contains(.indirectDescriptors), inOrder: features.contains(.inOrder)),
        memory: memory,
        base: vring.base ?? DeviceQueue.firstBase(format), inflight: inflightRecord(index, format, entryCount: entryCount), packedInflight: packedInflightRecord(index, format, entryCount: entryCount))
      queue = VhostUserQueue(index: index, features: features, ring: ring) { [weak self] in self?.queueBroke($0, $1) }
    } catch {
      throw VhostUserError(.setVringAddress, "queue \(index): \(error)")
    }
    vrings[index].running = queue
    try connectEvents(of: queue)
    if vring.kick == nil { lookWithoutKicks(queue) }
    device.started(queue)
  }

  private func part(_ userAddress: UInt64, _ byteCount: Int, _ index: Int, _ part: VirtqueueFault.RingPart) throws(VhostUserError) -> SharedBytes {
    guard let guestAddress = memory.guestAddress(ofUser: userAddress), let bytes = memory.bytes(at: guestAddress, byteCount: byteCount) else {
      throw VhostUserError(
        .setVringAddress, "the \(part.rawValue) of queue \(index), \(byteCount) bytes at 0x\(String(userAddress, radix: 16)), is not in the guest's memory")
    }
    return bytes
  }

  /// Keeps the loop turning for a queue whose driver never kicks: a turn looks at every queue.
  private func lookWithoutKicks(_ queue: VhostUserQueue) {
    loop.schedule(afterNanoseconds: Self.lookNanoseconds) { [weak self, weak queue] in
      guard let self, let queue, vrings[queue.index].running === queue, vrings[queue.index].kick == nil else { return }
      lookWithoutKicks(queue)
    }
  }

  /// (Re)connects a running queue with its kick and call.
  private func connectEvents(of queue: VhostUserQueue) throws(VhostUserError) {
    let vring = vrings[queue.index]
    queue.events?.close {}
    do throws(Errno) {
      // Events are looked at in turn: the loop serves the device after it has taken the completion that the event is.
      queue.events = try LoopEventChannel(wait: vring.kick, signal: vring.call, loop: loop) {}
      // A back-end that was killed may have shown its last answers and not called: the driver would wait for ever. One call too many
      // costs it a look.
      queue.events?.signal()
    } catch {
      throw VhostUserError(.setVringKick, "the descriptor of queue \(queue.index) cannot be used: \(error)")
    }
  }

  // MARK: Stop

  /// Stops a running queue, keeps where it was, then calls `done`.
  func stopQueue(_ index: Int, then done: @escaping () -> Void) {
    guard let queue = vrings[index].running else { return done() }
    device.stop(queue) { [self] in
      queue.publish()
      queue.events?.close {}
      queue.events = nil
      vrings[index].base = queue.ring.value.base
      vrings[index].running = nil
      done()
    }
  }

  private func withQueueStopped(_ index: Int, _ header: MessageHeader) {
    wait(for: [index]) { [self] in acknowledge(header) }
  }

  private func queueBroke(_ queue: VhostUserQueue, _ fault: VirtqueueFault) {
    logger.error("queue \(queue.index) is broken and not served any more: \(fault)")
    if let error = vrings[queue.index].error, (try? error.descriptor.setNonBlocking(true)) != nil { EventDescriptor.signal(error.descriptor) }
  }
}
