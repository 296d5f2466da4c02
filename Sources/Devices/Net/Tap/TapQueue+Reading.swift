import EventLoop
import NetPackets
import SharedMemory
import SystemPackage
import Uring

extension TapQueue {
  var client: TapQueueClient? { state.value.client }

  /// Hands the next batch of reads to the kernel when all of the last one has been passed on.
  func submitReads() {
    guard state.value.phase == .running, !state.value.isPaused, !state.value.isRemoved, state.value.batch.outstanding == 0,
      state.value.batch.next == state.value.batch.count
    else { return }
    var count = state.value.batch.advance(tuning)
    if !state.value.batch.isStaged {
      count = takeBuffers(count)
      if count == 0 {
        state.value.isPaused = true
        return
      }
    }
    state.value.batch.begin()
    // Asked for once: each time costs two atomic operations.
    let loop: EventLoop = loop
    for slot in 0..<count {
      // Nothing waits when the loop is full: the turn after the next completion tries again.
      guard let userData = loop.begin(self, tag: Tag.make(Tag.read, slot: slot)) else { break }
      prepareRead(slot, userData, waits: slot == count - 1, through: loop)
      reads.slots[slot].phase = .outstanding
      reads.slots[slot].userData = userData
      state.value.batch.count += 1
      state.value.batch.outstanding += 1
    }
  }

  @inline(__always) private func prepareRead(_ slot: Int, _ userData: UInt64, waits: Bool, through loop: EventLoop) {
    let file = state.value.file
    if medium == .packetSocket {
      reads.slots[slot].isTagged = false
      precondition(loop.uring.prepareReceive(file, messages: reads.messages, index: slot, userData: userData, waits: waits))
    } else if state.value.batch.isStaged {
      // One stretch: to look at a list of them takes the kernel a tenth of a small read.
      let stretch = reads.stretch(slot)
      precondition(
        loop.uring.prepareRead(file, address: stretch.address, byteCount: stretch.byteCount, offset: 0, userData: userData, waits: waits))
    } else {
      guard let frame = reads.lent[slot] else { preconditionFailure("a read without a buffer") }
      let first = slot * TapReadSlots.vectorsPerSlot
      reads.vectors[first] = (reads.stretch(slot).address, Self.headerByteCount)
      for index in 0..<frame.pieceCount {
        let piece = frame.piece(index)
        reads.vectors[first + 1 + index] = (piece.address, piece.byteCount)
      }
      let prepared = loop.uring.prepareReadVector(
        file, table: reads.vectors, first: first, count: 1 + frame.pieceCount, offset: 0, userData: userData, waits: waits)
      precondition(prepared)
    }
  }

  /// Has a buffer of the client's in each of the first `count` slots, or in as many as it has buffers for.
  private func takeBuffers(_ count: Int) -> Int {
    for slot in 0..<count where reads.lent[slot] == nil {
      guard let frame = client?.buffer(for: self) ?? takeUnused(behind: slot) else { return slot }
      precondition(frame.headByteCount == 0 && frame.pieceCount > 0, "a buffer is made of pieces")
      reads.lent[slot] = frame
    }
    return count
  }

  /// A buffer that an earlier batch had for a slot behind `slot`, and found no frame for.
  private func takeUnused(behind slot: Int) -> Frame? {
    for later in slot + 1..<reads.lent.count {
      guard let frame = reads.lent[later] else { continue }
      reads.lent[later] = nil
      return frame
    }
    return nil
  }

  func completedRead(_ slot: Int, _ result: Int32) {
    state.value.batch.outstanding -= 1
    if result > 0 {
      reads.slots[slot].phase = .filled
      reads.slots[slot].byteCount = Int(result)
      state.value.batch.hits += 1
      state.value.batch.byteCount += Int(result)
    } else {
      reads.slots[slot].phase = .empty
      if result < 0 { failedRead(Errno(rawValue: -result)) }
    }
  }

  private func failedRead(_ errno: Errno) {
    switch errno {
    case .resourceTemporarilyUnavailable, .canceled, .interrupted: break
    // A TAP interface that is down says so, and has nothing to lose (`tun_ring_recv` of Linux).
    case .badAddress where medium == .tap: state.value.statistics.lastFailure = errno
    // A packet socket says once that its interface was switched off; it goes on when that is switched on.
    case .networkDown: state.value.statistics.lastFailure = errno
    case .badDescriptorState:
      guard !state.value.isRemoved else { break }
      state.value.isRemoved = true
      state.value.statistics.lastFailure = errno
      client?.interfaceRemoved(on: self)
    default:
      state.value.statistics.lastFailure = errno
      count(.unreadable)
    }
  }

  /// Passes on what has been read, in order, until the client is full.
  func handOver() {
    guard state.value.phase == .running, !state.value.isPaused, state.value.batch.next < state.value.batch.count, let client else { return }
    while state.value.phase == .running, state.value.batch.next < state.value.batch.count {
      let slot = state.value.batch.next
      switch reads.slots[slot].phase {
      case .outstanding: return
      case .empty: break
      case .filled:
        if !handOver(slot, to: client) {
          state.value.isPaused = true
          return
        }
        reads.slots[slot].phase = .empty
      }
      state.value.batch.next += 1
    }
  }

  /// False when the client does not take it now.
  @inline(__always) private func handOver(_ slot: Int, to client: TapQueueClient) -> Bool {
    let byteCount = reads.slots[slot].byteCount - Self.headerByteCount
    guard byteCount >= 14, let offload = FrameOffload(tapHeader: reads.memory, at: reads.headerOffset(slot)) else {
      count(.malformed)
      return true
    }
    if state.value.batch.isStaged {
      return reads.withFrame(slot) { frame in
        guard fill(frame, slot, byteCount: byteCount, offload) else {
          count(.malformed)
          return true
        }
        return note(client.received(frame, byteCount: frame.byteCount, offload: frame.offload, on: self), byteCount: frame.byteCount)
      }
    }
    guard let frame = reads.lent[slot] else { return true }
    let outcome = client.filled(frame, byteCount: byteCount, offload: offload, on: self)
    if outcome != .full { reads.lent[slot] = nil }
    return note(outcome, byteCount: byteCount)
  }

  /// Counts what became of a frame. False when the client does not take it now.
  @inline(__always) private func note(_ outcome: TapQueueClient.ReceiveOutcome, byteCount: Int) -> Bool {
    switch outcome {
    case .full: return false
    case .taken:
      state.value.statistics.receivedFrames &+= 1
      state.value.statistics.receivedByteCount &+= UInt64(byteCount)
      state.value.handedOver = true
    case .dropped: count(.refused)
    }
    return true
  }

  /// Describes what was read into the queue's own memory, with what the client does not take unfinished; false when that cannot be done.
  @inline(__always) private func fill(_ frame: Frame, _ slot: Int, byteCount read: Int, _ described: FrameOffload) -> Bool {
    var (byteCount, offload) = (read, described)
    if reads.slots[slot].isTagged {
      byteCount += 4
      if offload.needsChecksum { offload.checksumStart += 4 }
    }
    let head = min(byteCount, Frame.headCapacity)
    frame.reset(headByteCount: head, offload: offload)
    if byteCount > head { frame.append(frame.head.vector(at: head, byteCount: byteCount - head)) }
    if offload.needsChecksum, state.value.checksums != [.checksumV4, .checksumV6], !takesChecksum(of: frame) { return frame.completeChecksum() }
    return true
  }

  private func takesChecksum(of frame: Frame) -> Bool {
    switch FrameHeaders(of: frame).network {
    case .ipv4: state.value.checksums.contains(.checksumV4)
    case .ipv6: state.value.checksums.contains(.checksumV6)
    case .none: false
    }
  }

  /// Asks the kernel to let go of the reads that wait.
  func cancelReads() {
    for slot in 0..<state.value.batch.count where reads.slots[slot].phase == .outstanding {
      guard let userData = loop.begin(self, tag: Tag.cancel) else { fatalError("too many operations in flight to end others") }
      precondition(loop.uring.prepareCancel(target: reads.slots[slot].userData, userData: userData))
      state.value.cancelsInFlight += 1
    }
  }

  /// Forgets what was read and not passed on, and gives the client's buffers back.
  func dropReads() {
    for slot in 0..<reads.count {
      if reads.slots[slot].phase == .filled { count(.stopped) }
      reads.slots[slot].phase = .empty
    }
    for slot in 0..<reads.lent.count {
      guard let buffer = reads.lent[slot] else { continue }
      reads.lent[slot] = nil
      client?.unused(buffer, on: self)
    }
    state.value.batch = TapReadBatch(isStaged: tuning.reading == .staged)
  }
}

extension Errno {
  /// What a queue of an interface says that does not exist any more (`EBADFD`).
  fileprivate static var badDescriptorState: Errno { Errno(rawValue: 77) }
}
