import NetEngine
import NetInterface
import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

// Frames for the guest that take one slot, as most do: one by one, and by the batch.
extension NetBackPlane {
  /// Takes frames `range` of a batch for the guest. Returns how many were delivered, and says in the batch which were not.
  func receive(_ batch: FrameBatch, _ range: Range<Int>, queue number: Int) -> Int {
    var next = range.lowerBound
    if state.value.isServing, control == nil || control?.hashing.isActive == false {
      next += table.withObject(number < table.count ? number : number % table.count) { queue in deliverWhole(batch, range, to: queue) }
    }
    var count = next - range.lowerBound
    while next < range.upperBound {
      if case .delivered = batch.withFrame(next, { receive($0, queue: number) }) {
        count += 1
      } else {
        batch.setOutcome(.dropped, of: next)
      }
      next += 1
    }
    return count
  }

  /// Copies frames of a batch into the next posted pages, until there are none, or a frame comes that is none of these. Returns how many.
  @inline(__always) private func deliverWhole(_ batch: FrameBatch, _ range: Range<Int>, to queue: NetBackQueue) -> Int {
    guard queue.state.value.fault == nil, queue.backlog.value.isEmpty, !multicast.isActive else { return 0 }
    var wholeCount = 0
    while wholeCount < range.count, batch.withFrame(range.lowerBound + wholeCount, { isWhole($0) }) { wholeCount += 1 }
    var taken = 0
    do throws(RingFault) {
      while taken < wholeCount {
        let before = taken
        taken += try queue.receiveRing.cell.value.takeRequests(wholeCount - taken) { number, request in
          queue.receiveSlots[before + number] = request
          return true
        }
        if taken == before { break }
      }
    } catch {
      // Told when the next frame is offered. Those whose pages were taken are delivered.
    }
    if taken == 0 { return 0 }
    let mayBeKept = !queue.kept.isEmpty
    if mayBeKept { findKept(batch, from: range.lowerBound, count: taken, queue) }
    var deliveredCount = 0
    var byteCount = 0
    for number in 0..<taken {
      let request = queue.receiveSlots[number]
      if mayBeKept, number + Self.fetchDistance < taken { fetchKept(number + Self.fetchDistance, batch, from: range.lowerBound, queue) }
      queue.receiveAnswers[number] = batch.withFrame(range.lowerBound + number) { frame in
        var response = ReceiveSlots.wholeFrame(
          byteCount: frame.byteCount, offload: frame.offload, offset: ReceiveSlots.spreadOffset(of: request.grantReference),
          identifier: request.identifier)
        do throws(GrantError) {
          if mayBeKept, queue.keptAddresses[number] != 0 {
            frame.copy(
              from: 0, to: SharedVector(address: queue.keptAddresses[number] + UInt(response.offset), byteCount: frame.byteCount))
          } else {
            try copyWhole(frame, to: request.grantReference, at: Int(response.offset), queue, taken: number + 1..<taken)
          }
          deliveredCount += 1
          byteCount += frame.byteCount
        } catch {
          response.status = NetifStatus.error.rawValue
          refuse(error, queue)
        }
        return response
      }
    }
    queue.receiveRing.cell.value.putResponses(taken) { queue.receiveAnswers[$0] }
    queue.state.value.counters.receivedFrames &+= UInt64(truncatingIfNeeded: deliveredCount)
    queue.state.value.counters.receivedBytes &+= UInt64(truncatingIfNeeded: byteCount)
    queue.state.value.hasReceiveResponses = true
    queue.state.value.sawRequests = true
    return taken
  }

  /// How many frames ahead what will be written to is fetched, from the other processor's cache: with all of a batch at once a processor would
  /// wait for them, and with none for each.
  private static var fetchDistance: Int { 6 }

  /// Looks where those pages are that are kept mapped.
  @inline(__always) private func findKept(_ batch: FrameBatch, from first: Int, count: Int, _ queue: NetBackQueue) {
    for number in 0..<count {
      queue.keptAddresses[number] = queue.kept.address(of: queue.receiveSlots[number].grantReference, writable: true) ?? 0
    }
    for number in 0..<min(count, Self.fetchDistance) { fetchKept(number, batch, from: first, queue) }
  }

  @inline(__always) private func fetchKept(_ number: Int, _ batch: FrameBatch, from first: Int, _ queue: NetBackQueue) {
    let address = queue.keptAddresses[number]
    if address == 0 { return }
    let offset = ReceiveSlots.spreadOffset(of: queue.receiveSlots[number].grantReference)
    let byteCount = batch.withFrame(first + number) { $0.byteCount }
    SharedVector(address: address + UInt(offset), byteCount: byteCount).prefetchForWriting()
  }

  // MARK: One by one

  /// Whether a frame takes one slot without extra infos, and its page has room to spare. The guest takes it then, whatever it accepts.
  @inline(__always) func isWhole(_ frame: Frame) -> Bool {
    frame.byteCount <= ReceiveSlots.spreadByteCount && frame.offload.isComplete
      && state.value.acceptance.headroomByteCount == 0 && frame.byteCount > 0
  }

  /// Copies a frame of one slot into the next posted page. False when there is none.
  @inline(__always) func deliverWhole(_ frame: Frame, to queue: NetBackQueue) throws(RingFault) -> Bool {
    guard let request = try queue.receiveRing.cell.value.takeRequest() else { return false }
    var response = ReceiveSlots.wholeFrame(
      byteCount: frame.byteCount, offload: frame.offload, offset: ReceiveSlots.spreadOffset(of: request.grantReference),
      identifier: request.identifier)
    do throws(GrantError) {
      try copyWhole(frame, to: request.grantReference, at: Int(response.offset), queue)
      count(frame.byteCount, queue)
    } catch {
      response.status = NetifStatus.error.rawValue
      refuse(error, queue)
    }
    queue.receiveRing.cell.value.putResponse(response)
    queue.state.value.hasReceiveResponses = true
    queue.state.value.sawRequests = true
    return true
  }

  /// Copies a frame into the page that was posted for it.
  @inline(__always) private func copyWhole(
    _ frame: Frame, to reference: GrantReference, at offset: Int, _ queue: NetBackQueue, taken range: Range<Int> = 0..<0
  ) throws(GrantError) {
    let page: MappedPage
    if let mapped = queue.posted.take(reference) {
      page = mapped
    } else if grants.mapsBySystemCall || !queue.kept.isEmpty {
      return try copy(frame, from: 0, to: reference, at: offset, byteCount: frame.byteCount, queue)
    } else {
      page = try mapPosted(reference, byteCount: frame.byteCount, queue, taken: range)
    }
    frame.copy(from: 0, to: page.vector(at: offset, byteCount: frame.byteCount))
  }

  /// Maps a posted page, and some that come behind it: those of `range` of the requests that were taken, then some that are on the ring.
  @inline(never) private func mapPosted(
    _ reference: GrantReference, byteCount: Int, _ queue: NetBackQueue, taken range: Range<Int>
  ) throws(GrantError) -> MappedPage {
    try queue.posted.refill(reference, byteCount: byteCount, grants) { distance in
      if Int(distance) < range.count { return queue.receiveSlots[range.lowerBound + Int(distance)].grantReference }
      return queue.receiveRing.cell.value.hint(distance - UInt32(range.count)) { NetifReceiveRequest(copying: $0, at: 0).grantReference }
    }
  }
}
