import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// The front's end of one ring, without any of a front-end's care: whatever a test puts goes out.
final class RawQueue {
  let ringPage: Int
  let ringReferences: [GrantReference]
  let memory: SharedBytes
  let channel: EventChannel
  private var native: NativeRing?
  private var narrow: NarrowRing?

  private final class NativeRing {
    var ring: FrontRing<BlkifRequest, BlkifResponse>
    init(_ memory: SharedBytes) { ring = FrontRing(initializing: memory, entryByteCount: BlkifRequest.byteCount, startingAt: .max - 5) }
  }
  private final class NarrowRing {
    var ring: FrontRing<BlkifRequestX8632, BlkifResponseX8632>
    init(_ memory: SharedBytes) { ring = FrontRing(initializing: memory, entryByteCount: BlkifRequestX8632.byteCount, startingAt: .max - 5) }
  }

  init(arena: GrantArena, order: Int, layout: BlkifProtocol, channel: EventChannel) {
    let count = 1 << order
    guard let page = arena.allocatePages(contiguous: count) else { fatalError("the arena is too small") }
    ringPage = page
    ringReferences = (page..<page + count).map { arena.grant(page: $0) }
    memory = arena.bytes.slice(at: page * pageByteCount, byteCount: count * pageByteCount)
    self.channel = channel
    if layout == .x8632 { narrow = NarrowRing(memory) } else { native = NativeRing(memory) }
  }

  var entryCount: Int { native?.ring.entryCount ?? narrow?.ring.entryCount ?? 0 }
  var freeCount: Int { native?.ring.freeRequestCount ?? narrow?.ring.freeRequestCount ?? 0 }
  var outstandingCount: Int { native?.ring.outstandingCount ?? narrow?.ring.outstandingCount ?? 0 }

  func put(_ request: BlkifRequest) {
    native?.ring.putRequest(request)
    narrow?.ring.putRequest(BlkifRequestX8632(request))
  }

  func put(_ request: BlkifRequestIndirect) {
    native?.ring.putRequest(BlkifRequest(request))
    narrow?.ring.putRequest(BlkifRequestX8632(BlkifRequestIndirectX8632(request)))
  }

  func put(_ request: BlkifRequestDiscard) {
    native?.ring.putRequest(BlkifRequest(request))
    narrow?.ring.putRequest(BlkifRequestX8632(BlkifRequestDiscardX8632(request)))
  }

  /// Whether the back wants a signal.
  @discardableResult func publish() -> Bool {
    native?.ring.publishRequests() ?? narrow?.ring.publishRequests() ?? false
  }

  func take() throws(RingFault) -> BlkifResponse? {
    if let native { return try native.ring.takeResponse() }
    guard let narrow, let response = try narrow.ring.takeResponse() else { return nil }
    return BlkifResponse(response)
  }
}
