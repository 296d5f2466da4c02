import EventLoop
import SharedMemory
import SharedRing
import XenInterface

/// One ring with its event channel, and what is known of it.
final class BlkifQueue {
  let index: Int
  let ring: AnyBlkifRing
  var channel: LoopEventChannel?
  let state = FixedCell(State())

  /// What changes with each request. Apart from the object, so that no access is checked for overlapping others.
  struct State {
    var counters = BlkifQueueCounters()
    /// A request that was taken while the engine had no room: the next to be handled.
    var deferred: BlkifRequest?
    /// Responses were put and not published.
    var hasUnpublished = false
    /// Requests were taken since the channel was last re-armed: its event was no spurious one.
    var sawRequests = false
    /// The front-end broke the ring; it is not touched any more.
    var fault: RingFault?
  }

  init(index: Int, ring: AnyBlkifRing) {
    self.index = index
    self.ring = ring
  }

  /// What it has done, for those who only look.
  var counters: BlkifQueueCounters { state.value.counters }
  var canTake: Bool { state.value.fault == nil && state.value.deferred == nil }
}

/// What one queue has done since it was connected.
public struct BlkifQueueCounters: Sendable, Equatable {
  /// Requests taken.
  public var requests: UInt64 = 0
  /// Responses put.
  public var responses: UInt64 = 0
  /// Times that taking stopped because the engine had no room.
  public var backPressure: UInt64 = 0
  public var rejections = BlkifRejectionCounters()

  public init() {}
}
