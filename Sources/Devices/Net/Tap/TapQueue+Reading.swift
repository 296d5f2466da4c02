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
    var count = state.value.batch.advance(limit: reads.count, byteLimit: tuning.readByteCount)
    if tuning.reading == .provided {
      count = takeBuffers(count)
      if count == 0 {
        state.value.isPaused = true
        return
      }
    }
    state.value.batch.begin()
    for slot in 0..<count {
      // Nothing waits when the loop is full: the turn after the next completion tries again.
      guard let userData = loop.begin(self, tag: Tag.make(Tag.read, slot: slot)) else { break }
      prepareRead(slot, userData, waits: slot == count - 1)
      reads.slots[slot].phase = .outstanding
      reads.slots[slot].userData = userData
      state.value.batch.count += 1
      state.value.batch.outstanding += 1
    }
  }

  private func prepareRead(_ slot: Int, _ userData: UInt64, waits: Bool) {
    let header = reads.headerOffset(slot)
    if medium == .packetSocket {
      reads.slots[slot].isTagged = false
      precondition(loop.uring.prepareReceive(file, messages: reads.messages, index: slot, userData: userData, waits: waits))
      return
    }
    switch tuning.reading {
    case .staged:
      let byteCount = Self.headerByteCount + Self.maximumFrameByteCount
      let address = reads.memory.vector(at: header, byteCount: byteCount).address
      precondition(loop.uring.prepareRead(file, address: address, byteCount: byteCount, offset: 0, userData: userData, waits: waits))
    case .provided:
      guard let frame = reads.frames[slot] else { preconditionFailure("a read without a buffer") }
      let first = slot * TapReadSlots.vectorsPerSlot
      reads.vectors[first] = (reads.memory.vector(at: header, byteCount: Self.headerByteCount).address, Self.headerByteCount)
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
    for slot in 0..<count where reads.frames[slot] == nil {
      guard let frame = client?.buffer(for: self) else { return slot }
      precondition(frame.headByteCount == 0 && frame.pieceCount > 0, "a buffer is made of pieces")
      reads.frames[slot] = frame
    }
    return count
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
    handOver()
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
    while state.value.phase == .running, !state.value.isPaused, state.value.batch.next < state.value.batch.count {
      let slot = state.value.batch.next
      switch reads.slots[slot].phase {
      case .outstanding: return
      case .empty: break
      case .filled:
        if !handOver(slot) {
          state.value.isPaused = true
          return
        }
        reads.slots[slot].phase = .empty
      }
      state.value.batch.next += 1
    }
  }

  /// False when the client does not take it now.
  private func handOver(_ slot: Int) -> Bool {
    guard let client, let frame = medium == .tap ? reads.frames[slot] : reads.packetFrame(slot) else { return true }
    var byteCount = reads.slots[slot].byteCount - headerByteCount
    guard byteCount >= 14, var offload = FrameOffload(tapHeader: reads.memory, at: reads.headerOffset(slot)) else {
      count(.malformed)
      return true
    }
    if reads.slots[slot].isTagged {
      byteCount += 4
      if offload.needsChecksum { offload.checksumStart += 4 }
    }
    if tuning.reading == .staged {
      let head = min(byteCount, Frame.headCapacity)
      frame.reset(headByteCount: head)
      if byteCount > head { frame.append(frame.head.vector(at: head, byteCount: byteCount - head)) }
      frame.offload = offload
      if offload.needsChecksum, state.value.checksums != [.checksumV4, .checksumV6], !takesChecksum(of: frame) {
        guard frame.completeChecksum() else {
          count(.malformed)
          return true
        }
        offload = frame.offload
      }
    }
    switch client.received(frame, byteCount: byteCount, offload: offload, on: self) {
    case .full: return false
    case .taken:
      state.value.statistics.receivedFrames &+= 1
      state.value.statistics.receivedByteCount &+= UInt64(byteCount)
      state.value.handedOver = true
    case .dropped: count(.refused)
    }
    if tuning.reading == .provided { reads.frames[slot] = nil }
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
      if tuning.reading == .provided, let frame = reads.frames[slot] {
        reads.frames[slot] = nil
        client?.unused(frame, on: self)
      }
    }
    state.value.batch = TapReadBatch()
  }
}

extension Errno {
  /// What a queue of an interface says that does not exist any more (`EBADFD`).
  fileprivate static var badDescriptorState: Errno { Errno(rawValue: 77) }
}
