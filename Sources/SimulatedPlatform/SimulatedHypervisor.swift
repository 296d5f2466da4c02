import LinuxSystem
import Synchronization
import SystemPackage
public import XenInterface
public import XenPlatform
import XenStoreCore

/// A hypervisor in memory: several domains in one process, every resource counted, faults on demand.
///
/// Memory and counters are real (memfds and eventfds), so drivers run unchanged, and a read-only page is read-only for the
/// processor too. Thread-safe.
///
///     let hypervisor = SimulatedHypervisor(seed: 42)
///     let front = hypervisor.platform(for: DomainID(rawValue: 1)), back = hypervisor.platform(for: .control)
///     …
///     #expect(hypervisor.ledger.leaks == "")
public final class SimulatedHypervisor: Sendable {
  struct State {
    var limits: DomainLimits
    var faults: FaultPlan
    var domains: Set<DomainID> = [.control]
    var lastHolder: UInt64 = 0
    /// Lives that were killed: whatever they still ask for fails.
    var dead: Set<HolderID> = []
    var arenas = ArenaTable()
    var channels = EventChannelTable()
    var channelObjects: [ChannelKey: WeakChannel] = [:]
    var mappers: [UInt64: MapperRecord] = [:]
    var lastMapper: UInt64 = 0
  }

  struct ChannelKey: Hashable {
    var domain: DomainID
    var port: EventChannelPort
  }

  struct WeakChannel { weak var channel: EventChannel? }

  let state: Mutex<State>
  let store = SimulatedStore()

  /// `seed` decides which calls fail when faults are random; `limits` are every domain's quotas.
  public init(seed: UInt64 = 0, limits: DomainLimits = .guest) {
    state = Mutex(State(limits: limits, faults: FaultPlan(seed: seed)))
  }

  /// A process of `domain`, which is made if it does not exist.
  public func platform(for domain: DomainID) -> SimulatedPlatform {
    let (holder, isNew) = state.withLock { state in
      state.lastHolder += 1
      return (HolderID(rawValue: state.lastHolder), state.domains.insert(domain).inserted)
    }
    if isNew { store.service.introduce(domain) }
    return SimulatedPlatform(domain: domain, holder: holder, hypervisor: self)
  }

  /// The death of one process: its ports are closed, which the peers notice, its arenas cannot be opened any more, its store
  /// connections end, and its further calls throw `disconnected`. What it had mapped stays mapped until its objects go away.
  public func kill(_ platform: SimulatedPlatform) {
    let closed = state.withLock { state in
      state.dead.insert(platform.holder)
      return state.closeEverything(of: platform.domain, platform.holder)
    }
    for channel in closed { channel.peerDidClose() }
    store.closeConnections(of: platform.holder)
  }

  /// The end of a domain: the death of all its processes, and what others prepared for it becomes useless. The store forgets it
  /// and tells those who watch `@releaseDomain`.
  public func destroy(_ domain: DomainID) {
    precondition(domain != .control, "domain 0 cannot be destroyed")
    let closed = state.withLock { state in
      let holders = Set(state.channels.ends(of: domain).map(\.holder) + state.arenas.arenas(of: domain).map(\.holder))
      var closed: [EventChannel] = []
      for holder in holders { closed += state.closeEverything(of: domain, holder) }
      state.channels.remove(domain: domain)
      state.arenas.remove(domain: domain)
      state.domains.remove(domain)
      return closed
    }
    for channel in closed { channel.peerDidClose() }
    store.service.release(domain)
  }

  /// Changes the fault plan; calls made before do not count.
  public func changeFaults(_ change: (inout FaultPlan) -> Void) { state.withLock { change(&$0.faults) } }

  /// What every domain holds now.
  public var ledger: ResourceLedger {
    state.withLock { state in
      var ledger = ResourceLedger()
      for domain in state.domains {
        ledger[domain].arenas = state.arenas.count(of: domain)
        ledger[domain].arenaPages = state.arenas.pageCount(of: domain)
        ledger[domain].eventChannels = state.channels.count(of: domain)
      }
      for mapper in state.mappers.values { ledger[mapper.domain].mappedPages += mapper.grants.mappedPageCount }
      return ledger
    }
  }
}

extension SimulatedHypervisor.State {
  /// Throws when the caller is dead or the plan wants this call to fail.
  mutating func enter(_ call: FaultPlan.Call, _ holder: HolderID) throws(PlatformError) {
    if dead.contains(holder) { throw .disconnected }
    try faults.check(call)
  }

  /// The ends of other processes that are unbound now, for the caller to tell without the lock.
  fileprivate mutating func closeEverything(of domain: DomainID, _ holder: HolderID) -> [EventChannel] {
    arenas.releaseAll(of: domain, heldBy: holder)
    return channels.closeAll(of: domain, heldBy: holder).compactMap { channelObject(of: $0) }
  }

  func channelObject(of end: EventChannelTable.End) -> EventChannel? {
    channelObjects[SimulatedHypervisor.ChannelKey(domain: end.domain, port: end.port)]?.channel
  }
}
