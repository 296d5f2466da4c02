public import SharedMemory
public import XenInterface

/// The end of a shared ring that sends requests and receives responses (`struct __name##_front_ring`).
///
/// Belongs to one loop; not thread-safe. Everything the peer can write is read once, into private copies; every decision
/// is made on those. A turn puts requests, publishes them once, takes responses until there are none, and arms before it sleeps:
/// ```swift
/// ring.putRequest(request)
/// if ring.publishRequests() { channel.signal() }
/// while let response = try ring.takeResponse() { complete(response) }
/// if try !ring.armResponseEvent() { sleep() }
/// ```
public struct FrontRing<Request: WireRecord, Response: WireRecord>: ~Copyable {
  @usableFromInline let memory: SharedBytes
  @usableFromInline let slots: SharedSlots
  /// Where the next request goes (`req_prod_pvt`).
  @usableFromInline var requestProducer: RingIndex
  /// What was last published. Private, because the shared copy can be rewritten by the peer.
  @usableFromInline var publishedRequestProducer: RingIndex
  /// The next response to take (`rsp_cons`).
  @usableFromInline var responseConsumer: RingIndex
  /// The last `rsp_prod` that was seen and found possible.
  @usableFromInline var knownResponseProducer: RingIndex
  @usableFromInline var fault: RingFault?

  /// Makes an empty ring in `memory`, with both sides' indices at `index` (`SHARED_RING_INIT`, `FRONT_RING_INIT`).
  ///
  /// Only the front initialises, before it shows the ring to the back. `memory` should be zeroed pages. `entryByteCount`
  /// is the size of the request/response union in the ABI that was agreed on (112 for blkif on x86_64, 108 on x86_32).
  public init(initializing memory: SharedBytes, entryByteCount: Int, startingAt index: RingIndex = 0) {
    precondition(entryByteCount >= Request.byteCount && entryByteCount >= Response.byteCount, "an entry holds a request or a response")
    self.memory = memory
    self.slots = RingLayout(byteCount: memory.byteCount, entryByteCount: entryByteCount).slots(in: memory)
    self.requestProducer = index
    self.publishedRequestProducer = index
    self.responseConsumer = index
    self.knownResponseProducer = index
    memory.zero(at: 0, byteCount: RingLayout.headerByteCount)
    memory.store32(index &+ 1, at: RingLayout.requestEvent)
    memory.store32(index &+ 1, at: RingLayout.responseEvent)
    memory.store32(index, at: RingLayout.responseProducer)
    memory.storeRelease32(index, at: RingLayout.requestProducer)
  }

  /// Number of entries in the ring.
  @inlinable public var entryCount: Int { Int(slots.count) }

  /// How many requests to put before publishing them, and responses to take before looking for more to put, so that both
  /// sides work at the same time: a third of the ring (see ``BackRing/batchCount``).
  @inlinable public var batchCount: Int { (Int(slots.count) + 2) / 3 }

  /// Requests that were put and whose response was not taken yet, published or not.
  @inlinable public var outstandingCount: Int { Int(requestProducer &- responseConsumer) }

  /// The index of the response that is taken next: for protocols whose responses are in the slots of their requests.
  @inlinable public var nextResponseIndex: RingIndex { responseConsumer }

  /// Requests that can be put before a response must be taken (`RING_FREE_REQUESTS`).
  @inlinable public var freeRequestCount: Int { Int(slots.count &- (requestProducer &- responseConsumer)) }
}

// MARK: - Requests

extension FrontRing {
  /// Writes a request into the next free entry. The back sees it after ``publishRequests()``. Traps when the ring is full.
  @inlinable @inline(__always) public mutating func putRequest(_ request: Request) {
    putRequest { request.store(to: $0, at: 0) }
  }

  /// As ``putRequest(_:)``, for a caller that stores the words itself: only those that the operation defines. What is
  /// left as it was holds an older request or response of this ring, which the back has seen already.
  @inlinable @inline(__always) public mutating func putRequest(using store: (borrowing SharedSlot) -> Void) {
    precondition(requestProducer &- responseConsumer < slots.count, "more requests than the ring holds")
    slots.withSlot(requestProducer, byteCount: Request.byteCount, store)
    requestProducer &+= 1
  }

  /// Shows all requests put so far to the back. Returns whether it asked for an event
  /// (`RING_PUSH_REQUESTS_AND_CHECK_NOTIFY`); false as well when there was nothing to publish.
  @inlinable public mutating func publishRequests() -> Bool {
    let old = publishedRequestProducer
    let new = requestProducer
    if new == old { return false }
    publishedRequestProducer = new
    // The release pairs with the acquire in BackRing.refreshRequests: a back that sees `new` sees the entries. The fence
    // pairs with the one in BackRing.armRequestEvent: either it sees `new`, or we see its `req_event`.
    memory.storeAndFence32(new, at: RingLayout.requestProducer)
    return notificationIsDue(old: old, new: new, event: memory.load32(at: RingLayout.requestEvent))
  }
}

// MARK: - Responses

extension FrontRing {
  /// Copies the next response out, or returns nil when there is none.
  ///
  /// Throws when the back claims responses to requests that were never published, now and on every later call.
  @inlinable @inline(__always) public mutating func takeResponse() throws(RingFault) -> Response? {
    if responseConsumer == knownResponseProducer {
      guard try refreshResponses() else { return nil }
    }
    slots.prefetchNext(after: responseConsumer, upTo: knownResponseProducer)
    let response = slots.withSlot(responseConsumer, byteCount: Response.byteCount) { Response(copying: $0, at: 0) }
    responseConsumer &+= 1
    return response
  }

  /// As ``takeResponse()``, for several in one go: copies up to `limit` responses out, hands each to `body` with its number, from 0 on, and its
  /// slot, and goes on as long as that returns true. Returns how many were taken, the one included that `body` returned false for; looks at
  /// `rsp_prod` only when no response is known.
  @inlinable @inline(__always)
  public mutating func takeResponses(_ limit: Int, _ body: (_ number: Int, _ slot: Int, Response) -> Bool) throws(RingFault) -> Int {
    if responseConsumer == knownResponseProducer {
      guard try refreshResponses() else { return 0 }
    }
    let known = knownResponseProducer
    let mask = slots.count &- 1
    var consumer = responseConsumer
    let end = min(limit, Int(known &- consumer))
    var count = 0
    while count < end {
      slots.prefetchNext(after: consumer, upTo: known)
      let response = slots.withSlot(consumer, byteCount: Response.byteCount) { Response(copying: $0, at: 0) }
      let slot = Int(consumer & mask)
      consumer &+= 1
      count += 1
      if !body(count - 1, slot, response) { break }
    }
    responseConsumer = consumer
    return count
  }

  /// Asks for an event when `wanted` responses are there, and looks again (`RING_FINAL_CHECK_FOR_RESPONSES`). True: so many are
  /// there already, do not sleep. False: an event will come. Throws as ``takeResponse()`` does.
  @inlinable public mutating func armResponseEvent(wanted: Int = 1) throws(RingFault) -> Bool {
    precondition(wanted > 0 && wanted <= Int(slots.count), "more responses than the ring can hold")
    if Int(knownResponseProducer &- responseConsumer) >= wanted { return true }
    // The fence pairs with the one in BackRing.publishResponses: either it sees this event index, or we see its producer.
    memory.storeAndFence32(responseConsumer &+ UInt32(wanted), at: RingLayout.responseEvent)
    return try refreshResponses() && Int(knownResponseProducer &- responseConsumer) >= wanted
  }

  /// Whether ``takeResponse()`` would return or throw something. One plain load at most: for polling loops.
  @inlinable @inline(__always) public func hasResponses() -> Bool {
    responseConsumer != knownResponseProducer || memory.load32(at: RingLayout.responseProducer) != responseConsumer
  }

  /// Looks at `rsp_prod` once and remembers it if it is possible. Returns whether there are responses to take.
  @inlinable mutating func refreshResponses() throws(RingFault) -> Bool {
    if let fault { throw fault }
    // Pairs with the release in BackRing.publishResponses: the entries up to `produced` are visible.
    let produced = memory.loadAcquire32(at: RingLayout.responseProducer)
    // Stricter than RING_RESPONSE_PROD_OVERFLOW: not just one ring ahead, but no more than we asked for.
    let allowed = publishedRequestProducer &- responseConsumer
    guard produced &- responseConsumer <= allowed else {
      throw breakRing(claimedProducer: produced, allowedCount: allowed)
    }
    knownResponseProducer = produced
    slots.prefetchFirst(from: responseConsumer, upTo: produced)
    return produced != responseConsumer
  }

  @inlinable mutating func breakRing(claimedProducer: RingIndex, allowedCount: UInt32) -> RingFault {
    let fault = RingFault(offender: .back, claimedProducer: claimedProducer, consumer: responseConsumer, allowedCount: allowedCount)
    self.fault = fault
    return fault
  }
}
