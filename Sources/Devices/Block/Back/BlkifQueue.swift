import EventLoop
import SharedMemory
import SharedRing
import XenInterface

/// One ring with its event channel, and what is known of it.
final class BlkifQueue {
  let index: Int
  let ring: AnyBlkifRing
  var channel: LoopEventChannel?
  private let state = FixedCell(State())

  /// What changes with each request. Apart from the object, so that no access is checked for overlapping others.
  private struct State {
    var counters = BlkifQueueCounters()
    var deferred: BlkifRequest?
    var hasUnpublished = false
    var sawRequests = false
    var fault: RingFault?
  }

  var counters: BlkifQueueCounters {
    @inline(__always) _read { yield state.value.counters }
    @inline(__always) _modify { yield &state.value.counters }
  }
  /// A request that was taken while the engine had no room: the next to be handled.
  var deferred: BlkifRequest? {
    @inline(__always) _read { yield state.value.deferred }
    @inline(__always) _modify { yield &state.value.deferred }
  }
  /// Responses were put and not published.
  var hasUnpublished: Bool {
    @inline(__always) _read { yield state.value.hasUnpublished }
    @inline(__always) _modify { yield &state.value.hasUnpublished }
  }
  /// Requests were taken since the channel was last re-armed: its event was no spurious one.
  var sawRequests: Bool {
    @inline(__always) _read { yield state.value.sawRequests }
    @inline(__always) _modify { yield &state.value.sawRequests }
  }
  /// The front-end broke the ring; it is not touched any more.
  var fault: RingFault? {
    @inline(__always) _read { yield state.value.fault }
    @inline(__always) _modify { yield &state.value.fault }
  }

  init(index: Int, ring: AnyBlkifRing) {
    self.index = index
    self.ring = ring
  }

  var canTake: Bool { fault == nil && deferred == nil }
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
