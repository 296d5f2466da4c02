import NetInterface
public import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import XenInterface

extension NetFrontPlane {
  /// Frames that one queue may hand over in one turn.
  private static var receiveBudget: Int { 128 }

  /// Hands received frames to the client and posts pages again. True when there were any.
  func receive(on queue: NetFrontQueue) -> Bool {
    var count = 0
    do throws(RingFault) {
      while count < Self.receiveBudget {
        let taken = try receiveBatch(on: queue, limit: Self.receiveBudget - count)
        if taken == 0 { break }
        count += taken
      }
    } catch {
      sever(.receiveRing(error), queue)
      return true
    }
    if !queue.assembler.value.isBetweenFrames, count < Self.receiveBudget, queue.assembler.value.endOfResponses() != nil {
      reject(queue)
      count += 1
    }
    if count == 0 { return false }
    queue.state.value.sawResponses = true
    queue.postPages()
    return true
  }

  /// Hands over as many frames as fit a batch, and are one slot each that breaks no rule and leaves nothing to do; then the slot that is none of
  /// these, and the chain that it begins. Returns how many slots were taken.
  private func receiveBatch(on queue: NetFrontQueue, limit: Int) throws(RingFault) -> Int {
    let isBetweenFrames = queue.assembler.value.isBetweenFrames
    var other: (slot: Int, response: NetifReceiveResponse)?
    var taken = try queue.receiveRing.value.takeResponses(min(limit, FrameBatch.capacity, queue.receivePages.freeFrames)) { number, slot, response in
      guard isBetweenFrames, let piece = response.wholeFrame, response.offload.isComplete else {
        other = (slot, response)
        return false
      }
      queue.receivePages.note(number, inSlot: slot, at: piece.offset, byteCount: piece.byteCount)
      return true
    }
    guard let other else {
      if taken > 0 { handOver(taken, queue) }
      return taken
    }
    if taken > 1 { handOver(taken - 1, queue) }
    let client = client
    if isBetweenFrames, let piece = other.response.wholeFrame {
      queue.receivePages.withFrame(inSlot: other.slot, at: piece.offset, byteCount: piece.byteCount) { frame in
        frame.offload = other.response.offload
        handOver(frame, needsPseudoHeaderSum: false, to: client, queue)
      }
      return taken
    }
    addToChain(other.response, slot: other.slot, client, queue)
    while !queue.assembler.value.isBetweenFrames {
      let count = try queue.receiveRing.value.takeResponses(1) { _, slot, response in
        addToChain(response, slot: slot, client, queue)
        return true
      }
      if count == 0 { break }
      taken += 1
    }
    return taken
  }

  /// Hands over the first `count` frames that were noted.
  private func handOver(_ count: Int, _ queue: NetFrontQueue) {
    let byteCount = queue.receivePages.fillBatch(count)
    let batch = queue.receivePages.batch
    guard let client else {
      state.value.counters.receiveRejections &+= UInt64(truncatingIfNeeded: count)
      return queue.receivePages.endBatch()
    }
    state.value.counters.receivedFrames &+= UInt64(truncatingIfNeeded: count)
    state.value.counters.receivedBytes &+= UInt64(truncatingIfNeeded: byteCount)
    client.received(batch, queue: queue.index)
    if batch.isMixed {
      for number in 0..<count where batch.outcome(number) == .dropped { state.value.counters.receiveDrops &+= 1 }
    }
    queue.receivePages.endBatch()
  }

  /// Takes a slot of a frame in several slots.
  private func addToChain(_ response: NetifReceiveResponse, slot: Int, _ client: NetFrontClient?, _ queue: NetFrontQueue) {
    queue.receivePages.takeBack(slot: slot)
    switch queue.assembler.value.add(response) {
    case .incomplete: break
    case .frame:
      let frame = queue.receivePages.frame(of: queue.assembler.value)
      frame.offload = queue.assembler.value.offload
      handOver(frame, needsPseudoHeaderSum: queue.assembler.value.needsPseudoHeaderSum, to: client, queue)
    case .rejected: reject(queue)
    }
  }

  @inline(__always) private func handOver(_ frame: Frame, needsPseudoHeaderSum: Bool, to client: NetFrontClient?, _ queue: NetFrontQueue) {
    // A frame whose headers do not say where its checksum belongs cannot be passed on by anybody.
    guard let client, !frame.offload.needsChecksum || frame.locateChecksum() else {
      state.value.counters.receiveRejections &+= 1
      return queue.receivePages.giveBack(frame)
    }
    if needsPseudoHeaderSum { frame.putPseudoHeaderSum() }
    state.value.counters.receivedFrames &+= 1
    state.value.counters.receivedBytes &+= UInt64(frame.byteCount)
    switch client.received(frame, queue: queue.index) {
    case .taken: queue.receivePages.giveBack(frame)
    case .held: break
    case .dropped:
      state.value.counters.receiveDrops &+= 1
      queue.receivePages.giveBack(frame)
    }
  }

  private func reject(_ queue: NetFrontQueue) {
    state.value.counters.receiveRejections &+= 1
    queue.receivePages.dropChain()
  }

  /// Gives a frame back that was ``NetFrontClient/ReceiveOutcome/held``. Its pages are posted again with the next turn.
  public func giveBack(_ frame: Frame) {
    guard let connection else { preconditionFailure("a frame of a connection that is gone") }
    let queue = connection.queues[frame.index / configuration.receivePageCount]
    queue.receivePages.giveBack(frame)
    if phase == .connected { queue.postPages() }
    if disconnected != nil { finishDisconnecting() }
  }
}
