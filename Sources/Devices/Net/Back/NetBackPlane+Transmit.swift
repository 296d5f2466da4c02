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

// From the guest to the port. Everything is checked on copies: slots by the assembler, headers in the frame's private head.
extension NetBackPlane {
  /// Takes what the queue has, within the budget.
  func transmit(from queue: NetBackQueue) -> Service {
    if queue.state.value.fault != nil { return .idle }
    let isLimited = state.value.isLimited
    let isBatched = takesBatches(queue)
    if !isBatched { fetchFirst(of: queue) }
    var count = 0
    while count < Self.budget {
      guard queue.packets.hasFree, !isLimited || mayTransmit() else { break }
      var taken = 0
      do throws(NetBackFault) {
        if isBatched { taken = try transmitBatch(of: queue, limit: Self.budget - count) } else if try transmitNext(of: queue) { taken = 1 }
      } catch {
        giveUp(queue, error)
        return .worked
      }
      if taken == 0 { break }
      count += taken
    }
    if count == 0 { return .idle }
    queue.state.value.sawRequests = true
    return count == Self.budget ? .moreToDo : .worked
  }

  /// Whether the rate limit lets another frame through. If not, the loop is called back when it does.
  private func mayTransmit() -> Bool {
    if state.value.heldUntil > 0 { return false }
    let now = clock.nowNanoseconds
    guard let wait = state.value.rate?.nanosecondsUntilAllowed(now: now), wait > 0 else { return true }
    state.value.heldUntil = now + wait
    wake(afterNanoseconds: wait)
    return false
  }

  /// Takes one chain of slots and does what it says. False when there is none.
  @inline(__always) private func transmitNext(of queue: NetBackQueue) throws(NetBackFault) -> Bool {
    let slot: NetifTransmitRequest?
    do throws(RingFault) { slot = try queue.transmitRing.cell.value.takeRequest() } catch { throw .ring(.transmit, error) }
    if let slot, let piece = slot.wholeFrame, queue.assembler.value.isBetweenFrames {
      fetch(Self.fetchDistance - 1, of: queue)
      send(slot, piece, of: queue)
      return true
    }
    return try transmitChain(from: slot, of: queue)
  }

  /// The same for whatever is not a whole frame in one slot, as the first slot of it or nil says.
  @inline(never) func transmitChain(from first: NetifTransmitRequest?, of queue: NetBackQueue) throws(NetBackFault) -> Bool {
    var next = first
    while let slot = next {
      do throws(TransmitFault) {
        switch try queue.assembler.value.add(slot) {
        case .incomplete: break
        case .frame:
          sendChain(of: queue)
          return true
        case .multicastChange:
          let changed = multicast.apply(queue.assembler.value.extras)
          answerChain(queue, changed ? .okay : .error)
          return true
        case .rejected:
          queue.state.value.counters.transmittedFrames &+= 1
          queue.state.value.counters.transmitErrors.malformed &+= 1
          answerChain(queue, .error)
          return true
        }
      } catch {
        throw .chain(error)
      }
      do throws(RingFault) { next = try queue.transmitRing.cell.value.takeRequest() } catch { throw .ring(.transmit, error) }
    }
    do throws(TransmitFault) { try queue.assembler.value.endOfRequests() } catch { throw .chain(error) }
    return false
  }

  /// Answers every slot of the chain that was assembled last.
  private func answerChain(_ queue: NetBackQueue, _ status: NetifStatus) {
    queue.transmitRing.cell.value.putResponses(to: queue.assembler.value.answer, status: status)
    queue.state.value.hasTransmitResponses = true
  }

  // MARK: Frames

  /// Hands a frame that is one slot, as most are, to the port.
  @inline(__always) func send(_ slot: NetifTransmitRequest, _ piece: TransmitPiece, of queue: NetBackQueue) {
    let place = queue.packets.begin()
    queue.state.value.counters.transmittedFrames &+= 1
    let status = queue.packets.frames.withObject(place) { frame -> NetifStatus? in
      do throws(GrantError) { try fill(frame, place, piece, slot.offload, of: queue) } catch { return refuse(error, queue) }
      return pass(frame, needsPseudoHeaderSum: false, from: queue)
    }
    guard let status else { return queue.packets.setIdentifier(slot.identifier, of: place) }
    // Unmapped first: the front-end may take its pages back as soon as it sees the answer.
    queue.packets.unmapPages(of: place, grants)
    queue.transmitRing.cell.value.putResponse(NetifTransmitResponse(identifier: slot.identifier, status: status))
    queue.state.value.hasTransmitResponses = true
    queue.packets.end(place)
  }

  /// Hands the frame of the chain that was assembled to the port.
  private func sendChain(of queue: NetBackQueue) {
    let place = queue.packets.begin()
    queue.state.value.counters.transmittedFrames &+= 1
    let status = queue.packets.frames.withObject(place) { frame -> NetifStatus? in
      frame.reset(headByteCount: min(queue.assembler.value.byteCount, Frame.headCapacity))
      do throws(GrantError) {
        var filled = 0
        for index in 0..<queue.assembler.value.pieceCount {
          filled = try add(queue.assembler.value.piece(index), to: frame, place, filled, of: queue)
        }
      } catch {
        // Whatever was mapped before the bad page goes back with the rest (XSA-365).
        return refuse(error, queue)
      }
      frame.offload = queue.assembler.value.offload
      return pass(frame, needsPseudoHeaderSum: queue.assembler.value.needsPseudoHeaderSum, from: queue)
    }
    guard let status else { return queue.packets.setAnswer(queue.assembler.value.answer, of: place) }
    queue.packets.unmapPages(of: place, grants)
    answerChain(queue, status)
    queue.packets.end(place)
  }

  /// Hands a frame that is complete to the port. Returns how it is to be answered; nil: when the port is done with it.
  @inline(__always) private func pass(_ frame: Frame, needsPseudoHeaderSum: Bool, from queue: NetBackQueue) -> NetifStatus? {
    if frame.offload.needsChecksum {
      guard frame.locateChecksum() else {
        queue.state.value.counters.transmitErrors.headers &+= 1
        return .error
      }
      if needsPseudoHeaderSum { frame.putPseudoHeaderSum() }
    }
    queue.state.value.counters.transmittedBytes &+= UInt64(frame.byteCount)
    if state.value.isLimited { state.value.rate?.spend(byteCount: frame.byteCount, now: clock.nowNanoseconds) }
    switch port.transmit(frame, queue: queue.index) {
    case .done: return .okay
    case .pending: return nil
    case .dropped:
      queue.state.value.counters.transmitDrops &+= 1
      return .dropped
    }
  }

  /// A page of a frame cannot be used.
  @inline(never) private func refuse(_ error: GrantError, _ queue: NetBackQueue) -> NetifStatus {
    if let heldBack = limiter.admit() {
      logger.warning("queue \(queue.index): frame refused: \(error)", metadata: heldBack > 0 ? ["held-back": "\(heldBack)"] : nil)
    }
    queue.state.value.counters.transmitErrors.grant &+= 1
    return .error
  }

  // MARK: Pages

  /// How many frames before its turn a frame's first bytes are fetched. They are in the other processor's cache, and the frames before it
  /// take about as long as they need from there.
  private static var fetchDistance: UInt32 { 12 }

  @inline(__always) private func fetchFirst(of queue: NetBackQueue) {
    // A fault is told by the request that is taken.
    guard let count = try? queue.transmitRing.cell.value.waitingRequestCount(wanted: 1), count > 0 else { return }
    for distance in 0..<min(UInt32(count), Self.fetchDistance - 1) { fetch(distance, of: queue) }
  }

  @inline(__always) private func fetch(_ distance: UInt32, of queue: NetBackQueue) {
    guard let request = queue.transmitRing.cell.value.hint(distance, using: { NetifTransmitRequest(copying: $0, at: 0) }) else { return }
    grants.prefetch(request.grantReference, at: Int(request.offset))
  }

  /// Takes a frame's head into private memory, and maps its page if there is more. What lies in the head entirely needs no page any more.
  @inline(__always) private func fill(
    _ frame: Frame, _ place: Int, _ piece: TransmitPiece, _ offload: FrameOffload, of queue: NetBackQueue
  ) throws(GrantError) {
    if piece.byteCount <= Frame.headCapacity, queue.kept.isEmpty {
      frame.reset(headByteCount: piece.byteCount, offload: offload)
      try grants.copyOut(of: piece.grantReference, at: piece.offset, byteCount: piece.byteCount, to: frame.head, at: 0)
    } else {
      frame.reset(headByteCount: min(piece.byteCount, Frame.headCapacity), offload: offload)
      _ = try add(piece, to: frame, place, 0, of: queue)
    }
  }

  /// Adds a piece to a frame whose head has `filled` bytes so far. Returns how many it has then.
  private func add(
    _ piece: TransmitPiece, to frame: Frame, _ place: Int, _ filled: Int, of queue: NetBackQueue
  ) throws(GrantError) -> Int {
    let taken = min(piece.byteCount, frame.headByteCount - filled)
    if taken == piece.byteCount {
      if let kept = queue.kept.page(of: piece.grantReference, writable: false) {
        frame.fillHead(at: filled, from: kept.vector(at: piece.offset, byteCount: taken))
      } else {
        try grants.copyOut(of: piece.grantReference, at: piece.offset, byteCount: taken, to: frame.head, at: filled)
      }
    } else {
      let page = try held(piece.grantReference, queue)
      if taken > 0 { frame.fillHead(at: filled, from: page.vector(at: piece.offset, byteCount: taken)) }
      queue.packets.addPage(page, to: place)
      frame.append(page.vector(at: piece.offset + taken, byteCount: piece.byteCount - taken))
    }
    return filled + taken
  }

  /// Maps a page for as long as the port has it; one that is kept mapped once more, because the front-end can have it kept no longer at any time.
  @inline(__always) private func held(_ reference: GrantReference, _ queue: NetBackQueue) throws(GrantError) -> MappedPage {
    if let kept = queue.kept.page(of: reference, writable: false), grants.hold(kept) { return kept }
    return try grants.map(reference, writable: false)
  }

  /// The port is done with a frame that was pending.
  func transmitted(_ frame: Frame, succeeded: Bool) {
    let perQueue = queues[0].packets.frames.count
    let queue = queues[frame.index / perQueue]
    let place = frame.index % perQueue
    if !succeeded { queue.state.value.counters.transmitDrops &+= 1 }
    queue.packets.unmapPages(of: place, grants)
    if queue.state.value.fault == nil {
      queue.transmitRing.cell.value.putResponses(to: queue.packets.answer(of: place), status: succeeded ? .okay : .dropped)
      queue.state.value.hasTransmitResponses = true
    }
    queue.packets.end(place)
  }
}
