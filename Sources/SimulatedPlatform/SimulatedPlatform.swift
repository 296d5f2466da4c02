import LinuxSystem
import Synchronization
import SystemPackage
public import XenInterface
public import XenPlatform
public import XenStoreClient

/// One process of a simulated domain. Thread-safe.
public final class SimulatedPlatform: XenPlatform {
  public let domain: DomainID
  let holder: HolderID
  let hypervisor: SimulatedHypervisor

  public let capabilities = PlatformCapabilities(mapsLocally: true, mapsContiguously: true, mapsForDirectIO: true)

  init(domain: DomainID, holder: HolderID, hypervisor: SimulatedHypervisor) {
    self.domain = domain
    self.holder = holder
    self.hypervisor = hypervisor
  }

  /// A connection of this process to the hypervisor's store: privileged in domain 0, held to its permissions elsewhere.
  public func connectToStore() -> XenStoreClient { hypervisor.store.connect(domain: domain, owner: holder) }

  public func makeGrantArena(for peer: DomainID, access: GrantAccess, pageCount: Int) throws(PlatformError) -> GrantArena {
    guard pageCount > 0, pageCount <= Int(UInt32.max) else {
      throw .refused(operation: "making of a grant arena", reason: "\(pageCount) is not a number of pages it can have")
    }
    try hypervisor.state.withLock { state throws(PlatformError) in
      try state.enter(.makeGrantArena, holder)
      guard state.domains.contains(peer) else { throw .noSuchDomain(peer) }
      try state.arenas.checkQuota(of: domain, pageCount: pageCount, limits: state.limits)
    }
    let (files, mappings) = try ArenaFiles.make(access: access, pageCount: pageCount)
    let restricted = try files.restrictedForMapper(access: access)
    let first = try hypervisor.state.withLock { state throws(PlatformError) in
      try state.arenas.register(
        granter: domain, holder: holder, peer: peer, access: access, pageCount: pageCount, files: restricted, limits: state.limits)
    }
    return GrantArena(peer: peer, access: access, memory: mappings.memory(firstReference: first, pageCount: pageCount)) {
      [hypervisor, domain, holder] in
      hypervisor.state.withLock { _ = $0.arenas.release(first, of: domain, heldBy: holder) }
    }
  }

  public func foreignGrants(of granter: DomainID) throws(PlatformError) -> ForeignGrants {
    try hypervisor.state.withLock { state throws(PlatformError) in try state.enter(.foreignGrants, holder) }
    return SimulatedForeignGrants(granter: granter, domain: domain, holder: holder, hypervisor: hypervisor)
  }

  public func allocateUnboundChannel(for remote: DomainID) throws(PlatformError) -> EventChannel {
    let counters = try makeCounters()
    return try hypervisor.state.withLock { state throws(PlatformError) in
      try state.enter(.allocateUnboundChannel, holder)
      guard state.domains.contains(remote) else { throw .noSuchDomain(remote) }
      let end = try state.channels.allocateUnbound(
        domain: domain, holder: holder, remote: remote, wait: counters.wait, signal: counters.signal, limits: state.limits)
      return try makeChannel(end, &state)
    }
  }

  public func bindInterdomainChannel(remote: DomainID, port: EventChannelPort) throws(PlatformError) -> EventChannel {
    let (channel, peer) = try hypervisor.state.withLock { state throws(PlatformError) in
      try state.enter(.bindInterdomainChannel, holder)
      guard state.domains.contains(remote) else { throw .noSuchDomain(remote) }
      let (end, peer) = try state.channels.bindInterdomain(
        domain: domain, holder: holder, remote: remote, port: port, limits: state.limits)
      EventDescriptor.signal(end.wait.descriptor)
      return (try makeChannel(end, &state), state.channelObject(of: peer))
    }
    peer?.peerDidBind()
    return channel
  }

  private func makeCounters() throws(PlatformError) -> (wait: SharedDescriptor, signal: SharedDescriptor) {
    do throws(Errno) {
      return (SharedDescriptor(try EventDescriptor.create()), SharedDescriptor(try EventDescriptor.create()))
    } catch {
      throw .system(operation: "create an event channel", error)
    }
  }

  private func makeChannel(_ end: EventChannelTable.End, _ state: inout SimulatedHypervisor.State) throws(PlatformError) -> EventChannel {
    let channel: EventChannel
    do throws(Errno) {
      channel = EventChannel(
        port: end.port, remoteDomain: end.state.remoteDomain, waitDescriptor: try end.wait.descriptor.duplicate(),
        signalDescriptor: try end.signal.descriptor.duplicate(),
        release: { [hypervisor, domain, holder] in hypervisor.close(end.port, of: domain, heldBy: holder) })
    } catch {
      _ = state.channels.close(end.port, of: domain)
      throw .system(operation: "take an event channel's descriptors", error)
    }
    state.channelObjects[SimulatedHypervisor.ChannelKey(domain: domain, port: end.port)] = SimulatedHypervisor.WeakChannel(channel: channel)
    return channel
  }
}

extension SimulatedHypervisor {
  fileprivate func close(_ port: EventChannelPort, of domain: DomainID, heldBy holder: HolderID) {
    let peer: EventChannel? = state.withLock { state in
      state.channelObjects[ChannelKey(domain: domain, port: port)] = nil
      // A killed process's ports are closed already.
      guard state.channels.end(port, of: domain)?.holder == holder else { return nil }
      return state.channels.close(port, of: domain).flatMap { state.channelObject(of: $0) }
    }
    peer?.peerDidClose()
  }
}
