import NetInterface
public import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import XenInterface

extension NetFrontPlane {
  /// What became of a frame that was to be sent.
  public enum TransmitOutcome: Sendable {
    /// Copied: the frame may be used again.
    case sent
    /// There is no room; ``NetFrontClient/transmitReady(queue:)`` is called when there is.
    case full
    /// It cannot be sent as it is, or there is no connection. Counted.
    case refused
  }

  /// Copies a frame into granted pages and puts it on the transmit ring of `queue`. The back-end sees it after ``publish()``.
  public func transmit(_ frame: Frame, queue number: Int) -> TransmitOutcome {
    guard phase == .connected, number < state.value.queueCount else { return .refused }
    return table.value.withObject(number) { queue in transmit(frame, on: queue) }
  }

  @inline(__always) private func transmit(_ frame: Frame, on queue: NetFrontQueue) -> TransmitOutcome {
    guard accepts(frame) else {
      state.value.counters.transmitRefusals &+= 1
      return .refused
    }
    if frame.byteCount <= pageByteCount, frame.offload.segmentation == .none {
      guard queue.transmitPages.freeCount > 0, queue.transmitRing.value.freeRequestCount > 0 else {
        queue.state.value.isFull = true
        return .full
      }
      queue.transmitPages.prefetchAhead(byteCount: frame.byteCount)
      let identifier = queue.transmitPages.take()
      let vector = queue.transmitPages.spreadVector(identifier, byteCount: frame.byteCount)
      frame.copy(from: 0, to: vector)
      queue.transmitRing.value.putRequest(
        TransmitSlots.wholeFrame(
          byteCount: frame.byteCount, offload: frame.offload, grantReference: queue.transmitPages.reference(identifier),
          offset: Int(vector.address % UInt(pageByteCount)), identifier: identifier))
    } else if !putSlots(of: frame, on: queue) {
      queue.state.value.isFull = true
      return .full
    }
    queue.state.value.hasRequests = true
    state.value.counters.transmittedFrames &+= 1
    state.value.counters.transmittedBytes &+= UInt64(frame.byteCount)
    return .sent
  }

  /// Copies a frame into several pages, or with extra infos. False when there is no room.
  private func putSlots(of frame: Frame, on queue: NetFrontQueue) -> Bool {
    let pieceCount = (frame.byteCount + pageByteCount - 1) / pageByteCount
    let slots = TransmitSlots(byteCount: frame.byteCount, pieceCount: pieceCount, offload: frame.offload)
    guard queue.transmitPages.freeCount >= pieceCount, queue.transmitRing.value.freeRequestCount >= slots.count else { return false }
    for index in 0..<pieceCount {
      let start = index * pageByteCount
      let count = min(pageByteCount, frame.byteCount - start)
      let identifier = queue.transmitPages.take()
      frame.copy(from: start, to: queue.transmitPages.vector(identifier, byteCount: count))
      queue.transmitRing.value.putRequest(
        slots.request(
          index, grantReference: queue.transmitPages.reference(identifier), offset: 0, byteCount: count, identifier: identifier))
      if index == 0, slots.extraCount > 0 {
        for extra in 0..<slots.extraCount { queue.transmitRing.value.putRequest(slots.extra(extra)) }
        queue.state.value.nullsInFlight += slots.extraCount
      }
    }
    return true
  }

  /// Whether the back-end takes the frame with what is left to be done to it.
  @inline(__always) func accepts(_ frame: Frame) -> Bool {
    guard frame.byteCount >= NetLimits.minimumFrameByteCount, frame.byteCount <= NetLimits.frameByteCount else { return false }
    let capabilities = state.value.capabilities
    if frame.byteCount > pageByteCount, !capabilities.contains(.scatterGather) { return false }
    return capabilities.takes(frame) && (frame.offload.segmentation == .none || frame.offload.segmentByteCount > 0)
  }

  /// Takes the pages of frames back that the back-end is done with. True when there were any.
  func reap(_ queue: NetFrontQueue) -> Bool {
    var count = 0
    var fault: NetFrontFault?
    var failureCount: UInt64 = 0
    do throws(RingFault) {
      var taken = 0
      repeat {
        taken = try queue.transmitRing.value.takeResponses(.max) { _, _, response in
          if response.status != NetifStatus.null.rawValue, queue.transmitPages.putBack(response.identifier) {
            if response.status != NetifStatus.okay.rawValue { failureCount &+= 1 }
            return true
          }
          fault = Self.takeOther(response, queue, &failureCount)
          return fault == nil
        }
        count += taken
      } while taken > 0 && fault == nil
    } catch {
      fault = .transmitRing(error)
    }
    state.value.counters.transmitFailures &+= failureCount
    if let fault {
      sever(fault, queue)
      return true
    }
    if count == 0 { return false }
    queue.state.value.sawResponses = true
    if queue.state.value.isFull, phase == .connected {
      queue.state.value.isFull = false
      client?.transmitReady(queue: queue.index)
    }
    return true
  }

  /// Takes a response that is not of a frame in one page. Returns what is wrong with it.
  private static func takeOther(_ response: NetifTransmitResponse, _ queue: NetFrontQueue, _ failureCount: inout UInt64) -> NetFrontFault? {
    if response.status == NetifStatus.null.rawValue {
      guard queue.state.value.nullsInFlight > 0 else { return .unaskedNull }
      queue.state.value.nullsInFlight -= 1
      return nil
    }
    guard queue.transmitBuffers.putBack(response.identifier) else { return .unknownIdentifier(response.identifier) }
    if response.status != NetifStatus.okay.rawValue { failureCount &+= 1 }
    return nil
  }
}
