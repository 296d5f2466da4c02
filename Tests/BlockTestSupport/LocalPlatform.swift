import LinuxSystem
import SharedMemory
import Synchronization
public import XenInterface
public import XenPlatform

/// Grants and event channels between domains that are all this process: enough of a hypervisor for tests of one device.
public final class LocalHypervisor: ForeignArenaSource {
  private struct State {
    var arenas: [(granter: DomainID, peer: DomainID, first: GrantReference, pageCount: Int, files: ArenaFiles)] = []
    var ends: [EventChannelPort: End] = [:]
    var nextReference: UInt32 = 256
    var nextPort: UInt32 = 1
  }
  private struct End {
    var wait: SharedDescriptor
    var signal: SharedDescriptor
    weak var channel: EventChannel?
    var peer: EventChannelPort?
  }
  private let state = Mutex(State())

  public init() {}

  public func platform(of domain: DomainID) -> LocalPlatform { LocalPlatform(domain: domain, hypervisor: self) }

  /// Arenas and event channel ends that exist: nothing, when everything was given back.
  public var ledger: (arenas: Int, ends: Int) { state.withLock { ($0.arenas.count, $0.ends.count) } }

  public func openArena(containing reference: GrantReference, of granter: DomainID) throws(PlatformError) -> ForeignArena? {
    let found = state.withLock { state in
      state.arenas.first { $0.granter == granter && reference >= $0.first && reference.rawValue - $0.first.rawValue < UInt32($0.pageCount) }
    }
    guard let found else { return nil }
    return try found.files.openAsMapper(firstReference: found.first, access: .readWrite, pageCount: found.pageCount)
  }

  func makeArena(_ granter: DomainID, _ peer: DomainID, _ pageCount: Int) throws(PlatformError) -> GrantArena {
    let (files, mappings) = try ArenaFiles.make(access: .readWrite, pageCount: pageCount)
    let first = state.withLock { state in
      let first = GrantReference(rawValue: state.nextReference)
      state.nextReference += UInt32((pageCount + 255) / 256 * 256)
      state.arenas.append((granter, peer, first, pageCount, files))
      return first
    }
    return GrantArena(peer: peer, access: .readWrite, memory: mappings.memory(firstReference: first, pageCount: pageCount)) { [self] in
      state.withLock { $0.arenas.removeAll { $0.first == first } }
    }
  }

  func allocate(for remote: DomainID) throws(PlatformError) -> EventChannel {
    try makeEnd(remote, wait: try counter(), signal: try counter(), peer: nil)
  }

  func bind(_ remote: DomainID, _ port: EventChannelPort) throws(PlatformError) -> EventChannel {
    let end = state.withLock { $0.ends[port] }
    guard let end, end.peer == nil else { throw .noSuchPort(port, of: remote) }
    let mine = try makeEnd(remote, wait: end.signal, signal: end.wait, peer: port)
    let theirs = state.withLock { state in
      state.ends[port]?.peer = mine.port
      return state.ends[port]?.channel
    }
    theirs?.peerDidBind()
    EventDescriptor.signal(mine.waitDescriptor)
    return mine
  }

  private func makeEnd(
    _ remote: DomainID, wait: SharedDescriptor, signal: SharedDescriptor, peer: EventChannelPort?
  ) throws(PlatformError) -> EventChannel {
    let port = state.withLock { state in
      state.nextPort += 1
      return EventChannelPort(rawValue: state.nextPort)
    }
    let channel: EventChannel
    do {
      channel = EventChannel(
        port: port, remoteDomain: remote, waitDescriptor: try wait.descriptor.duplicate(),
        signalDescriptor: try signal.descriptor.duplicate(), release: { [self] in close(port) })
    } catch {
      throw .system(operation: "duplicate an event counter", error)
    }
    state.withLock { $0.ends[port] = End(wait: wait, signal: signal, channel: channel, peer: peer) }
    return channel
  }

  private func close(_ port: EventChannelPort) {
    let peer = state.withLock { state -> EventChannel? in
      guard let end = state.ends.removeValue(forKey: port), let peer = end.peer else { return nil }
      state.ends[peer]?.peer = nil
      return state.ends[peer]?.channel
    }
    peer?.peerDidClose()
  }

  private func counter() throws(PlatformError) -> SharedDescriptor {
    do { return SharedDescriptor(try EventDescriptor.create()) } catch { throw .system(operation: "eventfd", error) }
  }
}

/// What one domain sees of a ``LocalHypervisor``.
public final class LocalPlatform: XenPlatform {
  public let domain: DomainID
  private let hypervisor: LocalHypervisor

  init(domain: DomainID, hypervisor: LocalHypervisor) {
    self.domain = domain
    self.hypervisor = hypervisor
  }

  public var capabilities: PlatformCapabilities {
    PlatformCapabilities(mapsLocally: true, mapsContiguously: true, mapsForDirectIO: true)
  }

  public func makeGrantArena(for peer: DomainID, access: GrantAccess, pageCount: Int) throws(PlatformError) -> GrantArena {
    try hypervisor.makeArena(domain, peer, pageCount)
  }

  public func foreignGrants(of granter: DomainID) throws(PlatformError) -> ForeignGrants {
    SharedForeignGrants(granter: granter, mappedBy: domain, source: hypervisor)
  }

  public func allocateUnboundChannel(for remote: DomainID) throws(PlatformError) -> EventChannel { try hypervisor.allocate(for: remote) }

  public func bindInterdomainChannel(remote: DomainID, port: EventChannelPort) throws(PlatformError) -> EventChannel {
    try hypervisor.bind(remote, port)
  }
}
