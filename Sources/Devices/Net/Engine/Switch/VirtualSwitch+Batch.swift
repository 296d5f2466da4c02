import NetPackets
import SharedMemory

// Batches: frames in succession with the same Ethernet header are looked up once and delivered with one call.
extension VirtualSwitch {
  /// Passes the frames of a batch that came from port `source` on, as ``forward(_:from:queue:)`` passes each. Returns how many are pending.
  func forward(_ batch: FrameBatch, from source: Int, _ sender: SwitchPortState, queue: Int) -> Int {
    var pendingCount = 0
    var next = 0
    while next < batch.count {
      let end = forwardRun(of: batch, at: next, sender, queue: queue)
      if end > next {
        next = end
        continue
      }
      // Something is to be found out, or to be done: what the switch knows then may be enough for the frames behind this one.
      let outcome = batch.withFrame(next) { frame in
        frame.sender = source
        return forward(frame, from: source, sender, queue: queue)
      }
      if case .pending = outcome { pendingCount += 1 }
      batch.setOutcome(outcome, of: next)
      next += 1
    }
    return pendingCount
  }

  /// Delivers the frames from `start` on that go the same way, if that is known and leads to a vif. Returns where they end: at `start` when the
  /// first of them has to be looked at by itself.
  @inline(__always) private func forwardRun(of batch: FrameBatch, at start: Int, _ sender: SwitchPortState, queue: Int) -> Int {
    guard let header = batch.withFrame(start, { Self.plainHeader(of: $0) }), let target = sender.flows.target(of: header, epoch: currentEpoch) else {
      return start
    }
    var end = start
    var byteCount = 0
    while end < batch.count {
      let isSame = batch.withFrame(end) { frame in
        guard let other = Self.plainHeader(of: frame), KnownFlows.isSame(other, header) else { return false }
        byteCount += frame.byteCount
        return true
      }
      guard isSame else { break }
      end += 1
    }
    let isDelivered = ports.withPort(target) { receiver in
      deliver(batch, start..<end, byteCount: byteCount, inVLAN: sender.vlan ?? 0, queue: queue, to: receiver)
    }
    guard isDelivered == true else { return start }
    sender.state.value.counters.received.add(frames: end - start, bytes: byteCount)
    return end
  }

  /// The header of a frame that has one, and whose sender has left nothing to do; nil for any other.
  @inline(__always) private static func plainHeader(of frame: Frame) -> (UInt64, UInt64)? {
    frame.headByteCount >= 14 && frame.offload.isComplete ? frame.ethernetHeader : nil
  }

  /// Hands untagged frames to the vif at `port`, and counts them there. False, and nothing is done, when there is none, or when they would get a
  /// tag or are not for its VLAN.
  @inline(__always) private func deliver(
    _ batch: FrameBatch, _ range: Range<Int>, byteCount: Int, inVLAN vlan: UInt16, queue: Int, to port: SwitchPortState
  ) -> Bool {
    guard port.state.value.hasClient, port.vlan == nil ? vlan == 0 && port.carries(0) : port.vlan == vlan else { return false }
    port.state.value.isTouched = true
    let count = port.withClient { $0.receive(batch, range, queue: queue) } ?? 0
    if count == range.count {
      port.state.value.counters.sent.add(frames: count, bytes: byteCount)
      return true
    }
    for index in range {
      if batch.outcome(index) == .done {
        port.state.value.counters.sent.add(batch.withFrame(index) { $0.byteCount })
      } else {
        port.state.value.counters.refused &+= 1
      }
    }
    return true
  }
}
