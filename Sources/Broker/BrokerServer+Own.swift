import BrokerWire
import EventLoop
import LinuxSystem
import SystemPackage
public import XenInterface
public import XenPlatform

/// The daemon as a party of its own: the store maps pages and binds ports for domain 0 without going through a socket, because it runs
/// on the same thread as the broker and would wait for itself.
extension BrokerServer {
  /// Largest arena that the daemon maps, in pages: it maps all of it, whichever page is wanted.
  public static let ownArenaPageLimit = 64

  struct OwnChannel { weak var channel: EventChannel? }

  /// What `granter` has granted to domain 0, for use on the loop's thread.
  public func ownForeignGrants(of granter: DomainID) throws(PlatformError) -> ForeignGrants {
    precondition(loop.isCurrent, "called from another thread than the loop's")
    guard state.domains[granter] != nil else { throw .noSuchDomain(granter) }
    return SharedForeignGrants(granter: granter, mappedBy: .control, source: OwnArenaSource(self))
  }

  /// Binds an end of domain 0 to `port` of `remote`. It is closed on the loop's thread, some time after the channel goes away.
  public func bindOwnChannel(remote: DomainID, port: EventChannelPort) throws(PlatformError) -> EventChannel {
    precondition(loop.isCurrent, "called from another thread than the loop's")
    let (end, effects) = try state.bindOwn(remote: remote, port: port)
    let channel: EventChannel
    do throws(Errno) {
      channel = EventChannel(
        port: end.port, remoteDomain: remote, waitDescriptor: try end.wait.descriptor.duplicate(),
        signalDescriptor: try end.signal.descriptor.duplicate(),
        release: { [weak self, loop, port = end.port] in loop.execute { [weak self] in self?.closeOwnChannel(port) } })
    } catch {
      apply(state.closeOwn(end.port))
      throw .system(operation: "take an event channel's descriptors", error)
    }
    ownChannels[end.port] = OwnChannel(channel: channel)
    apply(effects)
    return channel
  }

  private func closeOwnChannel(_ port: EventChannelPort) {
    ownChannels[port] = nil
    apply(state.closeOwn(port))
  }

  /// What a process would get as a message.
  func tellOwnChannel(_ message: BrokerMessage) {
    switch message {
    case .portClosed(let port): ownChannels[port]?.channel?.peerDidClose()
    case .portBound(let port): ownChannels[port]?.channel?.peerDidBind()
    default: break
    }
  }

  func offerStore(_ domain: DomainID, _ reference: GrantReference, _ port: EventChannelPort) -> BrokerMessage {
    do throws(PlatformError) {
      guard let onStoreOffered else { throw .refused(operation: "connection of a store page", reason: "this daemon has no store") }
      try onStoreOffered(domain, reference, port)
      return .done
    } catch {
      return .failed(BrokerFailure(error))
    }
  }

  /// Opens arenas for the daemon itself. Small ones only: a domain must not make it map memory without end, or wait for it.
  private final class OwnArenaSource: ForeignArenaSource {
    private weak let server: BrokerServer?

    init(_ server: BrokerServer) { self.server = server }

    func openArena(containing reference: GrantReference, of granter: DomainID) throws(PlatformError) -> ForeignArena? {
      guard let server, let arena = server.state.arenas.arena(containing: reference, of: granter, for: .control), let files = arena.files
      else { return nil }
      guard arena.pageCount <= BrokerServer.ownArenaPageLimit else {
        throw .refused(
          operation: "mapping of reference \(reference) of domain \(granter)",
          reason: "its arena has \(arena.pageCount) pages, and the daemon maps arenas of at most \(BrokerServer.ownArenaPageLimit)")
      }
      return try files.openAsMapper(firstReference: arena.firstReference, access: arena.access, pageCount: arena.pageCount)
    }
  }
}

extension BrokerState {
  /// Who holds what the daemon itself has; processes count from 1.
  static let ownHolder = HolderID(rawValue: 0)

  mutating func bindOwn(remote: DomainID, port: EventChannelPort) throws(PlatformError) -> (EventChannelTable.End, [Effect]) {
    guard domains[remote] != nil else { throw .noSuchDomain(remote) }
    let (end, peer) = try channels.bindInterdomain(
      domain: .control, holder: BrokerState.ownHolder, remote: remote, port: port, limits: limits(of: .control))
    return (end, [.signal(end.wait), .send(peer.holder, .portBound(peer.port), requestID: 0, descriptors: [])])
  }

  mutating func closeOwn(_ port: EventChannelPort) -> [Effect] {
    guard channels.end(port, of: .control)?.holder == BrokerState.ownHolder else { return [] }
    return channels.close(port, of: .control).map { [peerClosed($0)] } ?? []
  }
}
