public import SharedMemory
public import XenInterface

/// The end of a shared ring that receives requests and sends responses (`struct __name##_back_ring`).
///
/// Belongs to one loop; not thread-safe. Everything the peer can write is read once, into private copies; every decision
/// is made on those. A response takes the entry at `rsp_prod`, not its own request's entry: a request that is not
/// answered yet lives on only in the copy.
public struct BackRing<Request: WireRecord, Response: WireRecord>: ~Copyable {
  @usableFromInline let memory: SharedBytes
  @usableFromInline let slots: SharedSlots
  /// The next request to take (`req_cons`).
  @usableFromInline var requestConsumer: RingIndex
  /// The last `req_prod` that was seen and found possible.
  @usableFromInline var knownRequestProducer: RingIndex
  /// Where the next response goes (`rsp_prod_pvt`).
  @usableFromInline var responseProducer: RingIndex
  /// What was last published. Private, because the shared copy can be rewritten by the peer.
  @usableFromInline var publishedResponseProducer: RingIndex
  @usableFromInline var fault: RingFault?

  /// Takes up a ring that the front has initialised, new or live, at its `rsp_prod` (`BACK_RING_ATTACH`): requests
  /// without a response are taken again. Throws when `req_prod` is more than one ring ahead of that.
  public init(attaching memory: SharedBytes, entryByteCount: Int) throws(RingFault) {
    precondition(entryByteCount >= Request.byteCount && entryByteCount >= Response.byteCount, "an entry holds a request or a response")
    self.memory = memory
    self.slots = RingLayout(byteCount: memory.byteCount, entryByteCount: entryByteCount).slots(in: memory)
    let index = memory.load32(at: RingLayout.responseProducer)
    self.requestConsumer = index
    self.knownRequestProducer = index
    self.responseProducer = index
    self.publishedResponseProducer = index
    _ = try refreshRequests()
  }

  /// Number of entries in the ring.
  @inlinable public var entryCount: Int { Int(slots.count) }

  /// How many requests to serve before publishing their responses, so that both sides work at the same time: a third of
  /// the ring. One third is being filled, one is on its way, one is being served; with whole rings the sides take turns.
  @inlinable public var batchCount: Int { (Int(slots.count) + 2) / 3 }

  /// Requests that were taken and have no response yet.
  @inlinable public var unansweredCount: Int { Int(requestConsumer &- responseProducer) }
}

// MARK: - Requests

extension BackRing {
  /// Copies the next request out, or returns nil when there is none. Never takes more requests than the ring has
  /// entries without a response to them.
  ///
  /// Throws when the front claims to have produced what no honest front can, now and on every later call.
  @inlinable @inline(__always) public mutating func takeRequest() throws(RingFault) -> Request? {
    try takeRequest { Request(copying: $0, at: 0) }
  }

  /// As ``takeRequest()``, for a caller that copies only the words that the operation defines: first the header, then
  /// what the copied header asks for.
  ///
  /// As safe as a full copy as long as `copy` loads each word at most once and decides only on what it has loaded: a
  /// front that rewrites the entry meanwhile can then mix two requests of its own, which it could have sent mixed.
  @inlinable @inline(__always)
  public mutating func takeRequest<Copy>(using copy: (borrowing SharedSlot) -> Copy) throws(RingFault) -> Copy? {
    if requestConsumer == knownRequestProducer {
      guard try refreshRequests() else { return nil }
    }
    slots.prefetchNext(after: requestConsumer, upTo: knownRequestProducer)
    let request = slots.withSlot(requestConsumer, byteCount: Request.byteCount, copy)
    requestConsumer &+= 1
    return request
  }

  /// As ``takeRequest()``, for several in one go: copies up to `limit` requests out, hands each to `body` with its number, from 0 on, and goes on
  /// as long as that returns true. Returns how many were taken, the one included that `body` returned false for; looks at `req_prod` only
  /// when no request is known.
  @inlinable @inline(__always)
  public mutating func takeRequests(_ limit: Int, _ body: (Int, Request) -> Bool) throws(RingFault) -> Int {
    if requestConsumer == knownRequestProducer {
      guard try refreshRequests() else { return 0 }
    }
    let known = knownRequestProducer
    var consumer = requestConsumer
    let end = min(limit, Int(known &- consumer))
    var count = 0
    while count < end {
      slots.prefetchNext(after: consumer, upTo: known)
      let request = slots.withSlot(consumer, byteCount: Request.byteCount) { Request(copying: $0, at: 0) }
      consumer &+= 1
      count += 1
      if !body(count - 1, request) { break }
    }
    requestConsumer = consumer
    return count
  }

  /// What `copy` takes from the request that comes `distance` places after the next one, or nil when it is not known yet: for a driver that has
  /// what a request names fetched before its turn comes. A hint, and nothing else: the front may change it until it is taken.
  @inlinable @inline(__always) public func hint<Hint>(_ distance: UInt32, using copy: (borrowing SharedSlot) -> Hint) -> Hint? {
    guard knownRequestProducer &- requestConsumer > distance else { return nil }
    return slots.withSlot(requestConsumer &+ distance, byteCount: Request.byteCount, copy)
  }

  /// Asks for an event at the next request, and looks again (`RING_FINAL_CHECK_FOR_REQUESTS`). True: there is a request
  /// already, do not sleep. False: an event will come. Throws as ``takeRequest()`` does.
  ///
  /// - Parameter wanted: for a driver that can do nothing with fewer requests: the event comes when there are as many.
  @inlinable public mutating func armRequestEvent(wanted: Int = 1) throws(RingFault) -> Bool {
    precondition(wanted > 0 && wanted <= Int(slots.count), "more requests than the ring can hold")
    if Int(knownRequestProducer &- requestConsumer) >= wanted { return true }
    // The fence pairs with the one in FrontRing.publishRequests: either it sees this event index, or we see its producer.
    memory.storeAndFence32(requestConsumer &+ UInt32(wanted), at: RingLayout.requestEvent)
    return try waitingRequestCount(wanted: wanted) >= wanted
  }

  /// Whether ``takeRequest()`` would return or throw something. One plain load at most: for polling loops.
  @inlinable @inline(__always) public func hasRequests() -> Bool {
    requestConsumer != knownRequestProducer || memory.load32(at: RingLayout.requestProducer) != requestConsumer
  }

  /// How many requests can be taken now. Looks at `req_prod` only when fewer than `wanted` are known: for a driver that needs
  /// several requests at once, such as pages for a frame. Throws as ``takeRequest()`` does.
  @inlinable @inline(__always) public mutating func waitingRequestCount(wanted: Int) throws(RingFault) -> Int {
    if Int(knownRequestProducer &- requestConsumer) < wanted { _ = try refreshRequests() }
    return Int(knownRequestProducer &- requestConsumer)
  }

  /// As ``hasRequests()``, for a driver that can do nothing with fewer than `wanted`. An impossible `req_prod` counts as many requests.
  @inlinable @inline(__always) public func hasRequests(wanted: Int) -> Bool {
    Int(memory.load32(at: RingLayout.requestProducer) &- requestConsumer) >= wanted
  }

  /// Looks at `req_prod` once and remembers it if it is possible. Returns whether there are requests to take.
  @inlinable mutating func refreshRequests() throws(RingFault) -> Bool {
    if let fault { throw fault }
    // Pairs with the release in FrontRing.publishRequests: the entries up to `produced` are visible.
    let produced = memory.loadAcquire32(at: RingLayout.requestProducer)
    // Stricter than RING_REQUEST_PROD_OVERFLOW: the front may reuse an entry only when it has seen the response that
    // was in it, so published responses count, not prepared ones; and a producer that goes back is a fault too.
    let allowed = slots.count &- (requestConsumer &- publishedResponseProducer)
    guard produced &- requestConsumer <= allowed else {
      throw breakRing(claimedProducer: produced, allowedCount: allowed)
    }
    knownRequestProducer = produced
    slots.prefetchFirst(from: requestConsumer, upTo: produced)
    return produced != requestConsumer
  }

  @inlinable mutating func breakRing(claimedProducer: RingIndex, allowedCount: UInt32) -> RingFault {
    let fault = RingFault(offender: .front, claimedProducer: claimedProducer, consumer: requestConsumer, allowedCount: allowedCount)
    self.fault = fault
    return fault
  }
}

// MARK: - Responses

extension BackRing {
  /// Writes a response into the next entry. The front sees it after ``publishResponses()``. Traps when every request
  /// taken has its response already.
  ///
  /// `Response.store` writes every byte of the response, undefined ones as zero. The rest of the entry is what the
  /// front itself wrote there.
  @inlinable @inline(__always) public mutating func putResponse(_ response: Response) {
    precondition(responseProducer != requestConsumer, "more responses than requests")
    slots.withSlot(responseProducer, byteCount: Response.byteCount) { response.store(to: $0, at: 0) }
    responseProducer &+= 1
  }

  /// As ``putResponse(_:)``, for `count` responses, which `make` makes from their numbers, in order.
  @inlinable @inline(__always) public mutating func putResponses(_ count: Int, _ make: (Int) -> Response) {
    precondition(count >= 0 && count <= unansweredCount, "more responses than requests")
    let first = responseProducer
    for number in 0..<count {
      slots.withSlot(first &+ UInt32(truncatingIfNeeded: number), byteCount: Response.byteCount) { make(number).store(to: $0, at: 0) }
    }
    responseProducer = first &+ UInt32(truncatingIfNeeded: count)
  }

  /// Shows all responses put so far to the front. Returns whether it asked for an event
  /// (`RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`); false as well when there was nothing to publish.
  @inlinable public mutating func publishResponses() -> Bool {
    let old = publishedResponseProducer
    let new = responseProducer
    if new == old { return false }
    publishedResponseProducer = new
    // The release pairs with the acquire in FrontRing.refreshResponses: a front that sees `new` sees the entries. The
    // fence pairs with the one in FrontRing.armResponseEvent: either it sees `new`, or we see its `rsp_event`.
    memory.storeAndFence32(new, at: RingLayout.responseProducer)
    return notificationIsDue(old: old, new: new, event: memory.load32(at: RingLayout.responseEvent))
  }
}
