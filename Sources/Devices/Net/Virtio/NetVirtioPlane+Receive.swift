import NetEngine
import NetPackets
import SharedMemory
import VhostUser
import VirtioInterface
import VirtioRing

// From the port to the guest: one copy, into buffers that the driver has posted.
extension NetVirtioPlane {
  /// Takes a frame for the guest.
  func receive(_ frame: Frame, queue number: Int) -> NetPortClient.ReceiveOutcome {
    guard let served = receiveQueue(number), served.queue.fault == nil, served.accepts.takes(frame) else {
      state.value.counters.unacceptable &+= 1
      return .dropped
    }
    let byteCount = served.headerByteCount + frame.byteCount
    do throws(VirtqueueFault) {
      guard try served.hasRoom(byteCount) else {
        served.isWaiting = true
        // A port that keeps the frame offers it again: nothing is lost then.
        if !port.keepsRefusedFrames { state.value.counters.noRoom &+= 1 }
        return .full
      }
    } catch {
      served.queue.giveUp(error)
      return .dropped
    }
    guard served.merges || served.firstByteCount >= byteCount else {
      state.value.counters.unacceptable &+= 1
      return .dropped
    }
    deliver(frame, byteCount, to: served)
    state.value.counters.receivedFrames &+= 1
    state.value.counters.receivedBytes &+= UInt64(frame.byteCount)
    return .delivered
  }

  /// The queue that a port's queue goes to: a guest may use fewer than there are.
  private func receiveQueue(_ number: Int) -> NetVirtioReceiveQueue? {
    if number < receiveQueues.count, let served = receiveQueues[number] { return served }
    for served in receiveQueues { if let served { return served } }
    return nil
  }

  private func deliver(_ frame: Frame, _ byteCount: Int, to served: NetVirtioReceiveQueue) {
    var chainCount = 0
    var room = 0
    while room < byteCount {
      room += served.held[chainCount].byteCount
      chainCount += 1
    }
    makeHeader(frame, chainCount: chainCount)
    // Where we are in header and frame, taken as one.
    var position = 0
    for index in 0..<chainCount {
      let entry = served.held[index]
      let begin = position
      var buffer = entry.first
      var left = min(entry.byteCount, byteCount - position)
      while left > 0 {
        let target = served.buffers[buffer]
        let count = min(target.byteCount, left)
        fill(target, count, from: frame, at: position, headerByteCount: served.headerByteCount)
        if memory.dirtyLog.isActive { memory.markWritten(target) }
        position += count
        left -= count
        buffer += 1
      }
      served.queue.ring.value.put(entry.chain.id, writtenByteCount: UInt32(position - begin))
    }
    served.removeFirst(chainCount)
    served.hasUnpublished = true
    served.sawChains = true
  }

  /// Fills the front of one buffer with what stands at `position` of header and frame.
  private func fill(_ target: GuestBuffer, _ count: Int, from frame: Frame, at position: Int, headerByteCount: Int) {
    var filled = 0
    if position < headerByteCount {
      filled = min(count, headerByteCount - position)
      memory.copy(header, at: position, to: GuestBuffer(address: target.address, byteCount: filled, region: target.region))
    }
    guard filled < count else { return }
    let place = SharedVector(address: target.address + UInt(filled), byteCount: count - filled)
    frame.copy(from: position + filled - headerByteCount, to: place)
  }

  private func makeHeader(_ frame: Frame, chainCount: Int) {
    var made = VirtioNetHeader()
    made.bufferCount = UInt16(chainCount)
    if frame.offload.needsChecksum, frame.offload.checksumStart != 0 || frame.locateChecksum() {
      made.flags = VirtioNetHeaderFlags.needsChecksum.rawValue
      made.checksumStart = frame.offload.checksumStart
      made.checksumOffset = frame.offload.checksumOffset
    } else if frame.offload.isValidated {
      made.flags = VirtioNetHeaderFlags.dataValid.rawValue
    }
    switch frame.offload.segmentation {
    case .none: break
    case .tcpv4: made.segmentation = VirtioNetSegmentation.tcpIPv4.rawValue
    case .tcpv6: made.segmentation = VirtioNetSegmentation.tcpIPv6.rawValue
    case .datagrams: made.segmentation = VirtioNetSegmentation.udpSegments.rawValue
    }
    if frame.offload.segmentation != .none {
      made.segmentByteCount = frame.offload.segmentByteCount
      made.headerByteCount = UInt16(FrameHeaders(of: frame).payloadOffset)
    }
    made.store(to: header, at: 0)
  }

  /// The port has no more frames for now.
  func endOfReceiveBatch() {
    for served in receiveQueues {
      if let served, served.hasUnpublished { publish(served) }
    }
  }
}
