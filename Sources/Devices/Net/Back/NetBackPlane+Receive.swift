import EventLoop
import Logging
import NetEngine
import NetInterface
import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

// From the port to the guest: one copy, into pages that the front-end has posted.
extension NetBackPlane {
  /// Takes a frame for the guest.
  @inline(__always) func receive(_ frame: Frame, queue number: Int) -> NetPortClient.ReceiveOutcome {
    if !state.value.isServing { return .dropped }
    let (index, hash) = target(of: frame, proposed: number)
    return table.withObject(index) { queue in receive(frame, hash, on: queue) }
  }

  @inline(__always) func receive(_ frame: Frame, _ hash: FrameHash?, on queue: NetBackQueue) -> NetPortClient.ReceiveOutcome {
    guard queue.state.value.fault == nil else {
      queue.state.value.counters.receiveDrops.broken &+= 1
      return .dropped
    }
    if frame.isMulticast, !multicast.admits(frame.destination) {
      queue.state.value.counters.receiveDrops.filtered &+= 1
      return .dropped
    }
    do throws(RingFault) {
      if hash == nil, isWhole(frame), queue.backlog.value.isEmpty, try deliverWhole(frame, to: queue) { return .delivered }
      return try receiveInSlots(frame, hash, on: queue)
    } catch {
      giveUp(queue, .ring(.receive, error))
      queue.state.value.counters.receiveDrops.broken &+= 1
      return .dropped
    }
  }

  /// The same for a frame that may take several slots, or has to wait.
  @inline(never) private func receiveInSlots(
    _ frame: Frame, _ hash: FrameHash?, on queue: NetBackQueue
  ) throws(RingFault) -> NetPortClient.ReceiveOutcome {
    guard let slots = slots(for: frame, hash) else {
      queue.state.value.counters.receiveDrops.unacceptable &+= 1
      return .dropped
    }
    if queue.backlog.value.isEmpty, try deliver(frame, slots, to: queue) { return .delivered }
    return wait(frame, hash, slots, for: queue)
  }

  /// The guest has posted too few buffers for a frame.
  private func wait(_ frame: Frame, _ hash: FrameHash?, _ slots: ReceiveSlots, for queue: NetBackQueue) -> NetPortClient.ReceiveOutcome {
    let now = clock.nowNanoseconds
    if queue.state.value.wantedReceiveSlots == 0 {
      queue.state.value.wantedReceiveSlots = slots.count
      queue.state.value.emptySince = now
    }
    watchTime()
    if port.keepsRefusedFrames {
      queue.state.value.refusedFrame = true
      return .full
    }
    if queue.backlog.value.append(frame, hash, now: now) { return .delivered }
    queue.state.value.counters.receiveDrops.noRoom &+= 1
    return .full
  }

  /// The slots that a frame takes; nil when the front-end does not take it.
  private func slots(for frame: Frame, _ hash: FrameHash?) -> ReceiveSlots? {
    guard state.value.acceptance.capabilities.takes(frame) else { return nil }
    let headroom = state.value.acceptance.headroomByteCount
    guard let slots = ReceiveSlots(byteCount: frame.byteCount, offload: frame.offload, hash: hash, headroomByteCount: headroom),
      slots.pieceCount == 1 || state.value.acceptance.capabilities.contains(.scatterGather)
    else { return nil }
    return slots
  }

  /// Which queue a frame goes to, and its hash where the front-end asked for hashes.
  @inline(__always) private func target(of frame: Frame, proposed number: Int) -> (Int, FrameHash?) {
    if let control, control.hashing.isActive {
      let hash = control.hashing.hash(of: frame)
      return (control.hashing.queue(for: hash, queueCount: table.count), hash)
    }
    return (number < table.count ? number : number % table.count, nil)
  }

  // MARK: Frames of several slots

  /// Copies a frame into posted pages. False when there are too few; then nothing was taken.
  private func deliver(_ frame: Frame, _ slots: ReceiveSlots, to queue: NetBackQueue) throws(RingFault) -> Bool {
    guard try queue.receiveRing.cell.value.waitingRequestCount(wanted: slots.count) >= slots.count else { return false }
    var failure: GrantError?
    for index in 0..<slots.count {
      // Counted just above.
      guard let request = try queue.receiveRing.cell.value.takeRequest() else { preconditionFailure("a request that was counted is gone") }
      queue.receiveSlots[index] = request
      guard failure == nil, let piece = slots.piece(inSlot: index) else { continue }
      do throws(GrantError) {
        try copy(
          frame, from: slots.start(ofPiece: piece), to: request.grantReference, at: slots.offset, byteCount: slots.byteCount(ofPiece: piece), queue)
      } catch {
        failure = error
      }
    }
    respond(slots, failed: failure != nil, to: queue)
    queue.state.value.sawRequests = true
    if let failure { refuse(failure, queue) } else { count(slots.byteCount, queue) }
    return true
  }

  /// Copies a part of a frame into the page that was posted for it.
  @inline(__always) func copy(
    _ frame: Frame, from start: Int, to reference: GrantReference, at offset: Int, byteCount: Int, _ queue: NetBackQueue
  ) throws(GrantError) {
    let kept = queue.kept.page(of: reference, writable: true)
    let page: MappedPage
    if let kept {
      page = kept
    } else if grants.mapsBySystemCall {
      // Copied twice, and still far less than to map and to unmap.
      frame.copy(from: start, to: bounce.vector(at: 0, byteCount: byteCount))
      return try grants.copyIn(to: reference, at: offset, byteCount: byteCount, from: bounce, at: 0)
    } else {
      page = try grants.map(reference, writable: true)
    }
    frame.copy(from: start, to: page.vector(at: offset, byteCount: byteCount))
    if kept == nil { grants.unmap(page) }
  }

  @inline(__always) func count(_ byteCount: Int, _ queue: NetBackQueue) {
    queue.state.value.counters.receivedFrames &+= 1
    queue.state.value.counters.receivedBytes &+= UInt64(byteCount)
  }

  @inline(never) func refuse(_ error: GrantError, _ queue: NetBackQueue) {
    queue.state.value.counters.receiveDrops.grant &+= 1
    if let heldBack = limiter.admit() {
      logger.warning(
        "queue \(queue.index): a posted page cannot be used: \(error)", metadata: heldBack > 0 ? ["held-back": "\(heldBack)"] : nil)
    }
  }

  /// Answers every slot in its own place. A frame that failed keeps its chain, with an error in each piece.
  private func respond(_ slots: ReceiveSlots, failed: Bool, to queue: NetBackQueue) {
    for index in 0..<slots.count {
      guard let piece = slots.piece(inSlot: index) else {
        queue.receiveRing.cell.value.putResponse(slots.extra(index - 1))
        continue
      }
      var response = slots.response(piece, identifier: queue.receiveSlots[index].identifier)
      if failed { response.status = NetifStatus.error.rawValue }
      queue.receiveRing.cell.value.putResponse(response)
    }
    queue.state.value.hasReceiveResponses = true
  }

  /// The port has no more frames for now.
  func endOfReceiveBatch() {
    if !state.value.isServing { return }
    for queue in queues where queue.state.value.hasReceiveResponses { publish(queue) }
  }

  // MARK: Guests that are slow

  /// Looks whether the guest has posted buffers for what waits. True when something was done.
  func goOnReceiving(_ queue: NetBackQueue, now: UInt64) -> Bool {
    do throws(RingFault) {
      let wanted = queue.state.value.wantedReceiveSlots
      guard try queue.receiveRing.cell.value.waitingRequestCount(wanted: wanted) >= wanted else { return expire(queue, now: now) }
      queue.state.value.wantedReceiveSlots = 0
      setStalled(false, queue)
      try emptyBacklog(of: queue, now: now)
      if queue.backlog.value.isEmpty, queue.state.value.refusedFrame {
        queue.state.value.refusedFrame = false
        port.receiveReady(queue: queue.index)
      }
      return true
    } catch {
      giveUp(queue, .ring(.receive, error))
      return true
    }
  }

  private func emptyBacklog(of queue: NetBackQueue, now: UInt64) throws(RingFault) {
    while !queue.backlog.value.isEmpty {
      let frame = queue.backlogFrame
      queue.backlog.value.first(as: frame)
      // Looked at anew: the front-end may have changed what it takes.
      guard let slots = slots(for: frame, queue.backlog.value.firstHash) else {
        queue.state.value.counters.receiveDrops.unacceptable &+= 1
        queue.backlog.value.removeFirst()
        continue
      }
      guard try deliver(frame, slots, to: queue) else {
        queue.state.value.wantedReceiveSlots = slots.count
        queue.state.value.emptySince = now
        return
      }
      queue.backlog.value.removeFirst()
    }
  }

  /// Drops what was kept for too long, and notices a guest that has not posted buffers for very long.
  private func expire(_ queue: NetBackQueue, now: UInt64) -> Bool {
    watchTime()
    var dropped = false
    while let arrival = queue.backlog.value.oldestArrival, now &- arrival > configuration.drainNanoseconds {
      queue.backlog.value.removeFirst()
      queue.state.value.counters.receiveDrops.expired &+= 1
      dropped = true
    }
    // A front-end that gives no notice of buffers cannot be told from one that has none to give.
    if acceptance.receiveNotification, now &- queue.state.value.emptySince > configuration.stallNanoseconds { setStalled(true, queue) }
    return dropped
  }

  private func setStalled(_ isStalled: Bool, _ queue: NetBackQueue) {
    guard queue.state.value.isStalled != isStalled else { return }
    queue.state.value.isStalled = isStalled
    logger.notice("queue \(queue.index): the guest \(isStalled ? "has not posted buffers for \(configuration.stallNanoseconds / 1_000_000_000) s; its link is down" : "posts buffers again")")
    port.guestStalled(queues.contains { $0.state.value.isStalled })
  }

  /// Makes the loop look again after a while, as long as frames wait: often at a guest that gives no notice.
  private func watchTime() {
    if !hasTimer { wake(afterNanoseconds: acceptance.receiveNotification ? 250_000_000 : 5_000_000) }
  }
}
