import NetEngine
import NetInterface
import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

// From the guest to the port by the batch: each step for all frames of it, before the next step. Only frames that are one slot and break no rule
// are in one. When anything is wrong with one of them, nothing has been done yet that counts: all of them go one by one.
extension NetBackPlane {
  /// Whether the queue's frames may be taken by the batch: a rate limit is asked before each frame, and what a hypervisor maps together it unmaps
  /// together, which is too late for the frame that is answered first.
  @inline(__always) func takesBatches(_ queue: NetBackQueue) -> Bool {
    !state.value.isLimited && !grants.mapsBySystemCall && queue.assembler.value.isBetweenFrames
  }

  /// Takes what the ring has, up to `limit` frames and as many as there is room for, and hands them to the port. Returns how many there were.
  func transmitBatch(of queue: NetBackQueue, limit: Int) throws(NetBackFault) -> Int {
    var other: NetifTransmitRequest?
    let taken: Int
    do throws(RingFault) {
      taken = try queue.transmitRing.cell.value.takeRequests(min(limit, FrameBatch.capacity, queue.packets.availableCount)) { number, request in
        guard request.wholeFrame != nil else {
          other = request
          return false
        }
        queue.batch.requests[number] = request
        return true
      }
    } catch {
      throw .ring(.transmit, error)
    }
    guard let other else {
      if taken > 0 { sendBatch(taken, of: queue) }
      return taken
    }
    if taken > 1 { sendBatch(taken - 1, of: queue) }
    // It is the first slot of a chain, or breaks a rule.
    _ = try transmitChain(from: other, of: queue)
    return taken
  }

  /// Hands the frames of `count` requests that were taken to the port.
  private func sendBatch(_ count: Int, of queue: NetBackQueue) {
    queue.packets.begin(count)
    fetch(count, of: queue)
    let (largeCount, byteCount): (Int, Int)
    do throws(GrantError) {
      largeCount = try fill(count, of: queue)
      guard let sum = locateChecksums(count, of: queue) else {
        if largeCount > 0 { grants.unmap(queue.batch.pages, count: largeCount, from: 0) }
        return sendOneByOne(count, of: queue)
      }
      byteCount = sum
    } catch {
      return sendOneByOne(count, of: queue)
    }
    queue.state.value.counters.transmittedFrames &+= UInt64(truncatingIfNeeded: count)
    queue.state.value.counters.transmittedBytes &+= UInt64(truncatingIfNeeded: byteCount)
    let batch = queue.packets.batch
    port.transmit(batch, queue: queue.index)
    if batch.isMixed { return answerMixed(count, of: queue) }
    // Unmapped first: the front-end may take its pages back as soon as it sees the answer.
    if largeCount > 0 { grants.unmap(queue.batch.pages, count: largeCount, from: 0) }
    queue.transmitRing.cell.value.putResponses(count) { number in
      NetifTransmitResponse(identifier: queue.batch.requests[number].identifier, status: .okay)
    }
    queue.state.value.hasTransmitResponses = true
    queue.packets.endBatch(count)
  }

  /// Something is wrong with one of them, or they are to be looked at one by one.
  @inline(never) private func sendOneByOne(_ count: Int, of queue: NetBackQueue) {
    queue.packets.endBatch(count)
    for number in 0..<count {
      let request = queue.batch.requests[number]
      guard let piece = request.wholeFrame else { preconditionFailure("a request that was no whole frame") }
      send(request, piece, of: queue)
    }
  }

  /// Answers frames of which some are pending or were dropped, in the order in which they came.
  @inline(never) private func answerMixed(_ count: Int, of queue: NetBackQueue) {
    for number in 0..<count {
      let outcome = queue.packets.batch.outcome(number)
      if outcome == .pending { continue }
      if outcome == .dropped { queue.state.value.counters.transmitDrops &+= 1 }
      let place = queue.packets.batch.place(number)
      queue.packets.unmapPages(of: place, grants)
      queue.transmitRing.cell.value.putResponse(
        NetifTransmitResponse(identifier: queue.batch.requests[number].identifier, status: outcome == .done ? .okay : .dropped))
      queue.state.value.hasTransmitResponses = true
      queue.packets.end(place)
    }
  }

  // MARK: Pages

  /// Takes the frames' heads into private memory, and maps the pages of those that have more. Returns how many have; when it throws, nothing
  /// is mapped.
  @inline(__always) private func fill(_ count: Int, of queue: NetBackQueue) throws(GrantError) -> Int {
    if !queue.kept.isEmpty, let largeCount = fillFromKept(count, of: queue) { return largeCount }
    var smallCount = 0
    var largeCount = 0
    for number in 0..<count {
      let request = queue.batch.requests[number]
      if Int(request.byteCount) > Frame.headCapacity {
        queue.batch.references[largeCount] = request.grantReference
        largeCount += 1
      } else {
        queue.batch.stretches[smallCount] = GrantStretch(
          of: request, place: UInt32(truncatingIfNeeded: queue.packets.batch.place(number) &* Frame.headCapacity))
        smallCount += 1
      }
    }
    if smallCount > 0 { try grants.copyOut(queue.batch.stretches, count: smallCount, to: queue.packets.heads) }
    if largeCount > 0 { try grants.map(queue.batch.references, count: largeCount, writable: false, to: queue.batch.pages, from: 0) }
    describe(count, copiesSmall: false, of: queue)
    return largeCount
  }

  /// The same where all of the pages are kept mapped: no entry and no status word is looked at. Nil, and nothing is mapped, when one is not.
  @inline(__always) private func fillFromKept(_ count: Int, of queue: NetBackQueue) -> Int? {
    var largeCount = 0
    for number in 0..<count {
      let request = queue.batch.requests[number]
      if Int(request.byteCount) <= Frame.headCapacity {
        guard let address = queue.kept.address(of: request.grantReference, writable: false) else { return letGo(largeCount, of: queue) }
        queue.batch.addresses[number] = address
      } else {
        // Mapped once more, as in held(_:_:).
        guard let page = queue.kept.page(of: request.grantReference, writable: false), grants.hold(page) else { return letGo(largeCount, of: queue) }
        queue.batch.pages[largeCount] = page
        largeCount += 1
      }
    }
    describe(count, copiesSmall: true, of: queue)
    return largeCount
  }

  /// Says what the frames are of whose pages that is known: of small ones the address, if they are to be copied, of larger ones what is mapped.
  @inline(__always) private func describe(_ count: Int, copiesSmall: Bool, of queue: NetBackQueue) {
    var large = 0
    for number in 0..<count {
      let request = queue.batch.requests[number]
      let byteCount = Int(request.byteCount)
      let place = queue.packets.batch.place(number)
      // Before the port is called, which may be done with a pending frame before it returns.
      queue.packets.setIdentifier(request.identifier, of: place)
      queue.packets.frames.withObject(place) { frame in
        frame.reset(headByteCount: min(byteCount, Frame.headCapacity), offload: request.offload)
        if byteCount <= Frame.headCapacity {
          if copiesSmall {
            frame.fillHead(at: 0, from: SharedVector(address: queue.batch.addresses[number] + UInt(request.offset), byteCount: byteCount))
          }
          return
        }
        let page = queue.batch.pages[large]
        large += 1
        frame.fillHead(at: 0, from: page.vector(at: Int(request.offset), byteCount: Frame.headCapacity))
        frame.append(page.vector(at: Int(request.offset) + Frame.headCapacity, byteCount: byteCount - Frame.headCapacity))
        queue.packets.addPage(page, to: place)
      }
    }
  }

  private func letGo(_ count: Int, of queue: NetBackQueue) -> Int? {
    if count > 0 { grants.unmap(queue.batch.pages, count: count, from: 0) }
    return nil
  }

  /// Finds out where the checksums belong that are left to be done. Returns the bytes of all frames; nil when it is not known of one of them.
  @inline(__always) private func locateChecksums(_ count: Int, of queue: NetBackQueue) -> Int? {
    var byteCount = 0
    for number in 0..<count {
      byteCount += Int(queue.batch.requests[number].byteCount)
      if NetifTransmitFlags(rawValue: queue.batch.requests[number].flags).contains(.checksumBlank),
        !queue.packets.batch.withFrame(number, { $0.locateChecksum() })
      {
        return nil
      }
    }
    return byteCount
  }

  /// Has the first bytes of frames fetched: of those of this batch, unless they are on their way, and of those that come behind it. They are in
  /// the other processor's cache, and take about as long from there as the frames of a batch.
  @inline(__always) private func fetch(_ count: Int, of queue: NetBackQueue) {
    let fetched = queue.batch.fetchedCount.value
    if fetched < count {
      for number in fetched..<count { queue.batch.ahead[number] = GrantStretch(of: queue.batch.requests[number], place: 0) }
      grants.prefetch(queue.batch.ahead, fetched..<count)
    }
    let first = max(0, fetched - count)
    var end = first
    while end < FrameBatch.capacity,
      let request = queue.transmitRing.cell.value.hint(UInt32(end), using: { NetifTransmitRequest(copying: $0, at: 0) })
    {
      queue.batch.ahead[end] = GrantStretch(of: request, place: 0)
      end += 1
    }
    if first < end { grants.prefetch(queue.batch.ahead, first..<end) }
    queue.batch.fetchedCount.value = end
  }
}

extension GrantStretch {
  /// A frame that is one request, on its way to `place` of the heads.
  fileprivate init(of request: NetifTransmitRequest, place: UInt32) {
    self.init(grantReference: request.grantReference, offset: request.offset, byteCount: request.byteCount, place: place)
  }
}
