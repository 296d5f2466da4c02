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
    if queue.fault != nil { return .idle }
    var count = 0
    while count < Self.budget {
      guard queue.packets.hasFree, mayTransmit() else { break }
      do throws(NetBackFault) {
        guard try transmitNext(of: queue) else { break }
      } catch {
        giveUp(queue, error)
        return .worked
      }
      count += 1
    }
    if count == 0 { return .idle }
    queue.sawRequests = true
    return count == Self.budget ? .moreToDo : .worked
  }

  /// Whether the rate limit lets another frame through. If not, the loop is called back when it does.
  private func mayTransmit() -> Bool {
    guard state.value.isLimited else { return true }
    if state.value.heldUntil > 0 { return false }
    let now = clock.nowNanoseconds
    guard let wait = state.value.rate?.nanosecondsUntilAllowed(now: now), wait > 0 else { return true }
    state.value.heldUntil = now + wait
    wake(afterNanoseconds: wait)
    return false
  }

  /// Takes one chain of slots and does what it says. False when there is none.
  private func transmitNext(of queue: NetBackQueue) throws(NetBackFault) -> Bool {
    while true {
      let slot: NetifTransmitRequest?
      do throws(RingFault) { slot = try queue.transmitRing.cell.value.takeRequest() } catch { throw .ring(.transmit, error) }
      do throws(TransmitFault) {
        guard let slot else {
          try queue.assembler.value.endOfRequests()
          return false
        }
        switch try queue.assembler.value.add(slot) {
        case .incomplete: continue
        case .frame: send(of: queue)
        case .multicastChange:
          let changed = multicast.apply(queue.assembler.value.extras)
          answer(queue, changed ? .okay : .error)
        case .rejected:
          queue.counters.transmittedFrames &+= 1
          queue.counters.transmitErrors.malformed &+= 1
          answer(queue, .error)
        }
        return true
      } catch {
        throw .chain(error)
      }
    }
  }

  /// Answers every slot of the chain that was assembled last.
  private func answer(_ queue: NetBackQueue, _ status: NetifStatus) {
    if queue.assembler.value.isSingleRequest {
      queue.transmitRing.cell.value.putResponse(NetifTransmitResponse(identifier: queue.assembler.value.identifier(0), status: status))
    } else {
      queue.transmitRing.cell.value.putResponses(to: queue.assembler.value.answer, status: status)
    }
    queue.hasTransmitResponses = true
  }

  /// Makes a frame of the chain that was assembled and hands it to the port.
  private func send(of queue: NetBackQueue) {
    let place = queue.packets.begin()
    queue.counters.transmittedFrames &+= 1
    do throws(GrantError) {
      try fill(queue.packets.frames[place], place, of: queue)
    } catch {
      // Whatever was mapped before the bad page goes back with the rest (XSA-365).
      if let heldBack = limiter.admit() {
        logger.warning("queue \(queue.index): frame refused: \(error)", metadata: heldBack > 0 ? ["held-back": "\(heldBack)"] : nil)
      }
      queue.counters.transmitErrors.grant &+= 1
      return finishNow(place, of: queue, .error)
    }
    guard setOffload(queue.packets.frames[place], of: queue) else {
      queue.counters.transmitErrors.headers &+= 1
      return finishNow(place, of: queue, .error)
    }
    let byteCount = queue.assembler.value.byteCount
    queue.counters.transmittedBytes &+= UInt64(byteCount)
    if state.value.isLimited { state.value.rate?.spend(byteCount: byteCount, now: clock.nowNanoseconds) }
    switch port.transmit(queue.packets.frames[place], queue: queue.index) {
    case .done: finishNow(place, of: queue, .okay)
    case .pending: queue.packets.setAnswer(queue.assembler.value.answer, of: place)
    case .dropped:
      queue.counters.transmitDrops &+= 1
      finishNow(place, of: queue, .dropped)
    }
  }

  /// Takes over what the front-end left to be done. False when the headers do not allow it.
  private func setOffload(_ frame: Frame, of queue: NetBackQueue) -> Bool {
    frame.offload = queue.assembler.value.offload
    guard frame.offload.needsChecksum else { return true }
    guard frame.locateChecksum() else { return false }
    if queue.assembler.value.needsPseudoHeaderSum { frame.putPseudoHeaderSum() }
    return true
  }

  /// Maps the frame's pages and takes its head into private memory. What lies in the head entirely needs no page any more.
  private func fill(_ frame: Frame, _ place: Int, of queue: NetBackQueue) throws(GrantError) {
    let headByteCount = min(queue.assembler.value.byteCount, Frame.headCapacity)
    frame.reset(headByteCount: headByteCount)
    var filled = 0
    for index in 0..<queue.assembler.value.pieceCount {
      let piece = queue.assembler.value.piece(index)
      let taken = min(piece.byteCount, headByteCount - filled)
      if taken == piece.byteCount, let kept = queue.kept.page(of: piece.grantReference, writable: false) {
        frame.fillHead(at: filled, from: kept.vector(at: piece.offset, byteCount: taken))
        filled += taken
        continue
      }
      let page = try grants.map(piece.grantReference, writable: false)
      if taken > 0 {
        frame.fillHead(at: filled, from: page.vector(at: piece.offset, byteCount: taken))
        filled += taken
      }
      if taken == piece.byteCount {
        grants.unmap(page)
      } else {
        queue.packets.addPage(page, to: place)
        frame.append(page.vector(at: piece.offset + taken, byteCount: piece.byteCount - taken))
      }
    }
  }

  /// The port is done with a frame that was pending.
  func transmitted(_ frame: Frame, succeeded: Bool) {
    let perQueue = queues[0].packets.frames.count
    let queue = queues[frame.index / perQueue]
    let place = frame.index % perQueue
    if !succeeded { queue.counters.transmitDrops &+= 1 }
    queue.packets.unmapPages(of: place, grants)
    if queue.fault == nil {
      queue.transmitRing.cell.value.putResponses(to: queue.packets.answer(of: place), status: succeeded ? .okay : .dropped)
      queue.hasTransmitResponses = true
    }
    queue.packets.end(place)
  }

  /// Ends the frame that was assembled last. Unmaps first: the front-end may take its pages back as soon as it sees the answer.
  private func finishNow(_ place: Int, of queue: NetBackQueue, _ status: NetifStatus) {
    queue.packets.unmapPages(of: place, grants)
    answer(queue, status)
    queue.packets.end(place)
  }
}
