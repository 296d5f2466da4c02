import NetInterface
public import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import XenInterface

/// Sending from granted pages that a frame was read into.
extension NetFrontPlane {
  /// Granted pages to have a frame read into, for queue `number`: one piece with room for any frame. Nil when there are none now;
  /// ``NetFrontClient/transmitReady(queue:)`` says when it is worth asking again.
  ///
  /// To be given back with ``transmit(buffer:byteCount:offload:)`` or ``giveBack(buffer:)``; a connection does not end before.
  public func takeBuffer(queue number: Int) -> Frame? {
    guard phase == .connected, number < queues.count else { return nil }
    if let frame = queues[number].transmitBuffers.lend() { return frame }
    queues[number].state.value.isFull = true
    return nil
  }

  /// Sends the frame of `byteCount` bytes that was read into a buffer, which is ours again unless there is no room. What fits a page is
  /// copied: that costs less than to keep the rest of the buffer for it.
  public func transmit(buffer: Frame, byteCount: Int, offload: FrameOffload) -> TransmitOutcome {
    let (queue, run) = place(of: buffer)
    guard phase == .connected else {
      giveBack(buffer: buffer)
      return .refused
    }
    let frame = queue.transmitBuffers.filled(run, byteCount: byteCount)
    frame.offload = offload
    // Nobody else writes to these pages: what the back-end does not take unfinished can be finished here.
    if offload.needsChecksum, offload.segmentation == .none, !state.value.capabilities.takes(frame) { _ = frame.completeChecksum() }
    if byteCount <= pageByteCount || !accepts(frame) {
      let outcome = transmit(frame, queue: queue.index)
      if outcome != .full { giveBack(buffer: buffer) }
      return outcome
    }
    let pieceCount = (byteCount + pageByteCount - 1) / pageByteCount
    let slots = TransmitSlots(byteCount: byteCount, pieceCount: pieceCount, offload: frame.offload)
    guard queue.transmitRing.value.freeRequestCount >= slots.count else {
      queue.state.value.isFull = true
      return .full
    }
    let first = queue.transmitBuffers.send(run, pageCount: pieceCount)
    for index in 0..<pieceCount {
      queue.transmitRing.value.putRequest(
        slots.request(
          index, grantReference: GrantReference(rawValue: first.reference.rawValue + UInt32(index)), offset: 0,
          byteCount: min(pageByteCount, byteCount - index * pageByteCount), identifier: first.identifier + UInt16(index)))
      if index == 0, slots.extraCount > 0 {
        for extra in 0..<slots.extraCount { queue.transmitRing.value.putRequest(slots.extra(extra)) }
        queue.state.value.nullsInFlight += slots.extraCount
      }
    }
    queue.state.value.hasRequests = true
    state.value.counters.transmittedFrames &+= 1
    state.value.counters.transmittedBytes &+= UInt64(byteCount)
    state.value.counters.transmittedInPlace &+= 1
    return .sent
  }

  /// Gives a buffer back that nothing was read into, or whose frame is not wanted.
  public func giveBack(buffer: Frame) {
    let (queue, run) = place(of: buffer)
    queue.transmitBuffers.takeBack(run)
    if disconnected != nil { finishDisconnecting() }
  }

  private func place(of buffer: Frame) -> (NetFrontQueue, Int) {
    guard let connection else { preconditionFailure("a buffer of a connection that is gone") }
    let (queue, run) = buffer.index.quotientAndRemainder(dividingBy: configuration.transmitBufferCount)
    return (connection.queues[queue], run)
  }
}
