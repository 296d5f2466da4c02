import EventLoop
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// What one connection to a back-end consists of: ring, pages for data, event channel, and the requests in flight.
final class RequestRingFrontConnection<Interface: RequestRingInterface> {
  /// A request in flight, at the number in the low half of its identifier.
  struct Slot {
    var call: RequestRingCall<Interface>?
    /// The high half of the identifier: a late answer to the slot's last request is not taken for this one's.
    var generation: UInt32 = 0
    var pages: [Int32] = []
  }

  let channel: EventChannel
  let ringReferences: [GrantReference]
  let version: UInt32
  var loopChannel: LoopEventChannel?
  /// Responses taken since the last event, so that an event for a response that polling found first is not taken for a storm.
  var reapedSinceEvent = 0
  var slots: [Slot]
  private(set) var inFlightCount = 0
  let carrier: RequestFrontCarrier<Interface.Request, Interface.Response>
  private let arena: GrantArena
  private var freeSlots: [Int32]
  private let ringPages: Range<Int>

  /// Pages of an arena for a ring of that size: as much data as can be in flight, up to 1024 pages.
  static func arenaPageCount(_ choice: DriverChoice) -> Int {
    let ringPageCount = 1 << choice.ringPageOrder
    let entryCount = Int(RingLayout(byteCount: ringPageCount * pageByteCount, entryByteCount: choice.entryByteCount).entryCount)
    return ringPageCount + min(1024, entryCount * Interface.Request.dataPageCapacity)
  }

  /// Makes the ring in `arena`, which has ``arenaPageCount(_:)`` pages and nothing in it.
  init(_ choice: DriverChoice, arena: GrantArena, channel: EventChannel) {
    let pageCount = 1 << choice.ringPageOrder
    guard let page = arena.allocatePages(contiguous: pageCount) else { preconditionFailure("the arena was made too small") }
    self.arena = arena
    self.channel = channel
    version = choice.version
    ringPages = page..<page + pageCount
    ringReferences = ringPages.map { arena.grant(page: $0) }
    carrier = .make(
      in: arena.bytes.slice(at: page * pageByteCount, byteCount: pageCount * pageByteCount), Interface.carrier, entryByteCount: choice.entryByteCount)
    let count = carrier.entryCount
    slots = Array(repeating: Slot(), count: count)
    freeSlots = (0..<Int32(count)).reversed()
  }

  /// Sends a call. False when the ring or the pages are used up: later.
  func send(_ call: RequestRingCall<Interface>) -> Bool {
    let pageCount = (call.dataByteCount + pageByteCount - 1) / pageByteCount
    guard carrier.freeRequestCount > 0, arena.freePageCount >= pageCount, let slot = freeSlots.popLast() else { return false }
    var request = call.request
    var pages: [Int32] = []
    for index in 0..<pageCount {
      guard let page = arena.allocatePage() else { preconditionFailure("a page was counted that is not there") }
      let start = index * pageByteCount
      let count = min(pageByteCount, call.outgoing.count - start)
      if count > 0 { arena.bytes.copyIn(call.outgoing, from: start, byteCount: count, at: page * pageByteCount) }
      request.setDataReference(arena.grant(page: page, readOnly: !Interface.dataDirection.isWritable), at: index)
      pages.append(Int32(page))
    }
    if Interface.Request.dataPageCapacity > 0 {
      request.dataOffset = 0
      request.dataLength = UInt32(call.dataByteCount)
    }
    request.identifier = UInt64(slots[Int(slot)].generation) << 32 | UInt64(slot)
    request.forget(newerThan: version)
    slots[Int(slot)].call = call
    slots[Int(slot)].pages = pages
    inFlightCount += 1
    carrier.putRequest(request)
    return true
  }

  /// Takes the next response and ends its request; nil when there is none. Throws when the back-end broke a rule.
  func reap() throws(RequestRingFrontFault) -> (call: RequestRingCall<Interface>, response: Interface.Response, data: [UInt8])? {
    var response: Interface.Response
    do throws(RequestCarrierFault) {
      guard let taken = try carrier.takeResponse() else { return nil }
      response = taken
    } catch {
      throw .ring(error)
    }
    response.forget(newerThan: version)
    let index = Int(truncatingIfNeeded: response.identifier & 0xFFFF_FFFF)
    guard index < slots.count, let call = slots[index].call, slots[index].generation == UInt32(response.identifier >> 32) else {
      throw .unknownIdentifier(response.identifier)
    }
    let length = Interface.dataDirection.isWritable && Interface.Request.dataPageCapacity > 0 ? response.dataLength : 0
    guard Int(length) <= call.dataByteCount else { throw .dataLength(length, maximum: call.dataByteCount) }
    let kept = release(index) { pages in collect(pages, min(Int(length), call.incomingByteCount)) }
    if arena.quarantinedPageCount > max(0, (arena.pageCount - ringPages.count) / 2) { throw .keepsPages(arena.quarantinedPageCount) }
    return (call, response, kept)
  }

  /// Frees a slot. The pages are copied from after the back-end's access has ended, so that what was copied stays what it was.
  private func release(_ index: Int, _ copy: ([Int32]) -> [UInt8]) -> [UInt8] {
    let pages = slots[index].pages
    let isFree = pages.map { arena.endAccess(page: Int($0)) }
    let data = copy(pages)
    for (page, isFree) in zip(pages, isFree) where isFree { arena.free(page: Int(page)) }
    slots[index].call = nil
    slots[index].pages = []
    slots[index].generation &+= 1
    freeSlots.append(Int32(index))
    inFlightCount -= 1
    return data
  }

  private func collect(_ pages: [Int32], _ byteCount: Int) -> [UInt8] {
    var data = [UInt8](repeating: 0, count: byteCount)
    for (index, page) in pages.enumerated() {
      let start = index * pageByteCount
      let count = min(pageByteCount, byteCount - start)
      if count > 0 { arena.bytes.copyOut(at: Int(page) * pageByteCount, byteCount: count, into: &data, at: start) }
    }
    return data
  }

  /// Takes the calls in flight, in the order of their slots, when no answer will come.
  func takeCalls() -> [RequestRingCall<Interface>] {
    var calls: [RequestRingCall<Interface>] = []
    for index in slots.indices {
      guard let call = slots[index].call.take() else { continue }
      calls.append(call)
      inFlightCount -= 1
    }
    return calls
  }

  /// Takes every grant back. Returns the number of pages that the back-end still had mapped.
  func revokeAll() -> Int {
    let used = slots.flatMap { $0.pages.map(Int.init) } + Array(ringPages)
    for page in used { _ = arena.endAccess(page: page) }
    return arena.quarantinedPageCount
  }
}
