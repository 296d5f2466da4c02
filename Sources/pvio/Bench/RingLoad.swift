import LinuxSystem
import SharedMemory
import SharedRing
import XenInterface

/// Size of a blkif entry on x86_64 (`union blkif_sring_entry`).
let blkifEntryByteCount = 112

/// How a side waits for the other: poll, look at the clock, arm, sleep.
struct RingWaiter: ~Copyable {
  let incoming: OwnedDescriptor
  let policy: PollingPolicy
  private var poller: AdaptivePoller
  private var pollsUntilClock = 0
  private var waiting = false

  init(incoming: consuming OwnedDescriptor, policy: PollingPolicy) {
    self.incoming = incoming
    self.policy = policy
    poller = AdaptivePoller(policy)
  }

  /// Looks at the clock only now and then: it costs as much as a dozen looks at the ring.
  static let pollsPerClock = 16

  /// Work was found after a look that had found none.
  @inline(__always) mutating func workArrived() {
    if !waiting { return }
    waiting = false
    pollsUntilClock = 0
    if case .adaptive = policy { poller.workArrived(at: MonotonicClock.nowNanoseconds) }
  }

  /// Nothing was found: true says look again, false says arm and sleep.
  @inline(__always) mutating func shouldKeepPolling() -> Bool {
    waiting = true
    switch policy {
    case .always: return true
    case .never: return false
    case .adaptive:
      if pollsUntilClock > 0 {
        pollsUntilClock -= 1
        return true
      }
      pollsUntilClock = Self.pollsPerClock
      return poller.shouldKeepPolling(now: MonotonicClock.nowNanoseconds)
    }
  }

  func sleep() { EventDescriptor.drain(incoming) }
}

/// The last request of a run: the back answers it and ends.
let finalOperation = UInt64.max

/// The side that sends reads and takes responses, on processor 0.
struct RingLoadFront: ~Copyable {
  private var ring: FrontRing<BlkifRequest, BlkifResponse>
  private let outgoing: OwnedDescriptor
  private var waiter: RingWaiter

  init(memory: SharedBytes, outgoing: consuming OwnedDescriptor, incoming: consuming OwnedDescriptor, policy: PollingPolicy) {
    ring = FrontRing(initializing: memory, entryByteCount: blkifEntryByteCount)
    self.outgoing = outgoing
    waiter = RingWaiter(incoming: incoming, policy: policy)
  }

  /// Writes the words that a read of one segment defines: operation and count, identifier, sector, segment.
  @inline(__always) private mutating func putRead(_ number: UInt64) {
    ring.putRequest { slot in
      slot.storeWord64(0x0100, at: 0)  // operation 0 (read), nr_segments 1, handle 0
      slot.storeWord64(number, at: 8)
      slot.storeWord64(number &* 8, at: 16)
      slot.storeWord64(number & 1023 | 7 << 40, at: 24)  // gref, first_sect 0, last_sect 7
    }
  }

  @inline(__always) private mutating func publish() {
    if ring.publishRequests() { EventDescriptor.signal(outgoing) }
  }

  /// Nothing was found: polls, or arms and sleeps.
  @inline(__always) private mutating func wait() throws(RingFault) {
    if waiter.shouldKeepPolling() {
      spinPause()
    } else if try !ring.armResponseEvent() {
      waiter.sleep()
    }
  }

  mutating func requestsPerSecond(count: Int, depth: Int) throws -> Double {
    let count = UInt64(count)
    let depth = min(depth, ring.entryCount)
    let batch = UInt64(ring.batchCount)
    var sent: UInt64 = 0
    var completed: UInt64 = 0
    var checksum: UInt64 = 0
    let start = MonotonicClock.nowNanoseconds
    while completed < count {
      let putLimit = min(count, sent &+ batch)
      while sent < putLimit, ring.outstandingCount < depth {
        putRead(sent)
        sent &+= 1
      }
      publish()
      let before = completed
      let takeLimit = completed &+ batch
      while completed < takeLimit, let response = try ring.takeResponse() {
        checksum &+= response.identifier
        completed &+= 1
      }
      if completed != before {
        waiter.workArrived()
      } else if sent == count || ring.outstandingCount == depth {
        try wait()
      }
    }
    let elapsed = MonotonicClock.nowNanoseconds - start
    guard checksum == count * (count - 1) / 2 else { throw BenchFailure("wrong responses") }
    return Double(count) * 1e9 / Double(elapsed)
  }

  mutating func medianRoundTripNanoseconds(count: Int) throws -> UInt32 {
    var times: [UInt32] = []
    times.reserveCapacity(count)
    for number in 0..<UInt64(count) {
      let start = MonotonicClock.nowNanoseconds
      try exchange(number)
      times.append(UInt32(clamping: MonotonicClock.nowNanoseconds - start))
    }
    times.sort()
    return times[count / 2]
  }

  /// One request there, its response back.
  @inline(__always) private mutating func exchange(_ number: UInt64) throws {
    putRead(number)
    publish()
    while true {
      if let response = try ring.takeResponse() {
        waiter.workArrived()
        guard response.identifier == number else { throw BenchFailure("wrong response") }
        return
      }
      try wait()
    }
  }

  /// Exchanges one request with a back side that is still starting.
  mutating func waitForBack() throws { try exchange(0) }

  /// Waits as if for a response, until an event comes.
  mutating func waitOnce() throws(RingFault) {
    while waiter.shouldKeepPolling() { spinPause() }
    if try !ring.armResponseEvent() { waiter.sleep() }
  }

  /// Tells the back side to end.
  mutating func finish() throws { try exchange(finalOperation) }
}

/// What a back-end keeps of a read or write: the words that such a request defines.
private struct ReadRequest {
  var header: UInt64
  var identifier: UInt64
  var sectorNumber: UInt64
  var segments: InlineArray<11, UInt64>

  /// Copies the header, then as many segments as the copied header says.
  @inline(__always) init(copying slot: borrowing SharedSlot) {
    header = slot.loadWord64(at: 0)
    identifier = slot.loadWord64(at: 8)
    sectorNumber = slot.loadWord64(at: 16)
    segments = InlineArray(repeating: 0)
    let count = min(Int(header >> 8 & 0xFF), BlkifRequest.segmentCapacity)
    for index in 0..<count { segments[index] = slot.loadWord64(at: 24 &+ 8 &* index) }
  }

  @inline(__always) var operation: UInt8 { UInt8(truncatingIfNeeded: header) }
}

/// The side that takes requests and answers each, on processor 1.
struct RingLoadBack: ~Copyable {
  private var ring: BackRing<BlkifRequest, BlkifResponse>
  private let outgoing: OwnedDescriptor
  private var waiter: RingWaiter

  init(memory: SharedBytes, outgoing: consuming OwnedDescriptor, incoming: consuming OwnedDescriptor, policy: PollingPolicy) throws(RingFault) {
    ring = try BackRing(attaching: memory, entryByteCount: blkifEntryByteCount)
    self.outgoing = outgoing
    waiter = RingWaiter(incoming: incoming, policy: policy)
  }

  mutating func serve() throws(RingFault) {
    let batch = ring.batchCount
    var finished = false
    while !finished {
      var served = 0
      while served < batch, let request = try ring.takeRequest(using: { ReadRequest(copying: $0) }) {
        var response = BlkifResponse()
        response.identifier = request.identifier
        response.operation = request.operation
        ring.putResponse(response)
        finished = finished || request.identifier == finalOperation
        served &+= 1
      }
      if ring.publishResponses() { EventDescriptor.signal(outgoing) }
      if served > 0 { waiter.workArrived() } else { try wait() }
    }
  }

  @inline(__always) private mutating func wait() throws(RingFault) {
    if waiter.shouldKeepPolling() {
      spinPause()
    } else if try !ring.armRequestEvent() {
      waiter.sleep()
    }
  }
}
