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
    let client = client
    do throws(RingFault) {
      while count < Self.receiveBudget {
        let slot = Int(queue.receiveRing.value.nextResponseIndex % UInt32(queue.receiveRing.value.entryCount))
        guard let response = try queue.receiveRing.value.takeResponse() else { break }
        if let piece = response.wholeFrame, queue.assembler.value.isBetweenFrames {
          queue.receivePages.withFrame(inSlot: slot, at: piece.offset, byteCount: piece.byteCount) { frame in
            frame.offload = response.offload
            handOver(frame, needsPseudoHeaderSum: false, to: client, queue)
          }
        } else if !addToChain(response, slot: slot, client, queue) {
          continue
        }
        count += 1
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

  /// Takes a slot of a frame in several slots. False when the frame goes on.
  private func addToChain(_ response: NetifReceiveResponse, slot: Int, _ client: NetFrontClient?, _ queue: NetFrontQueue) -> Bool {
    queue.receivePages.takeBack(slot: slot)
    switch queue.assembler.value.add(response) {
    case .incomplete: return false
    case .frame:
      let frame = queue.receivePages.frame(of: queue.assembler.value)
      frame.offload = queue.assembler.value.offload
      handOver(frame, needsPseudoHeaderSum: queue.assembler.value.needsPseudoHeaderSum, to: client, queue)
    case .rejected: reject(queue)
    }
    return true
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
