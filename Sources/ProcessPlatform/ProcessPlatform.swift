import BrokerWire
import LinuxSystem
import SystemPackage
public import XenInterface
public import XenPlatform

/// The platform between plain processes: memory and event channels are introduced by the broker of `pvio daemon`, which is
/// asked once per arena and per channel and then steps aside.
///
/// Thread-safe. Calls block until the broker has answered. Handlers (`onDisconnect`, `EventChannel.onPeerClosed`) run on a
/// thread of the platform and must not call it. What the platform made keeps the connection to the broker open.
///
///     let platform = try ProcessPlatform.connect(socketPath: "/run/pvio/domains/1/broker.sock")
///     let arena = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 64)
public final class ProcessPlatform: XenPlatform {
  public let domain: DomainID
  let lease: BrokerLease

  public let capabilities = PlatformCapabilities(mapsLocally: true, mapsContiguously: true, mapsForDirectIO: true)

  private init(domain: DomainID, lease: BrokerLease) {
    self.domain = domain
    self.lease = lease
  }

  /// Connects to a broker socket: whose socket it is decides which domain this process acts for.
  public static func connect(socketPath: String) throws(PlatformError) -> ProcessPlatform {
    let lease = BrokerLease(link: try BrokerLink.connect(socketPath: socketPath))
    let domain = try lease.link.call(.hello(version: BrokerProtocol.version)) { incoming throws(PlatformError) in
      guard case .welcome(let domain, _) = incoming.message else { throw incoming.unexpected }
      return domain
    }
    return ProcessPlatform(domain: domain, lease: lease)
  }

  /// Runs `handler` once when the broker is gone; at once if it is gone already. Every later call throws `disconnected`.
  /// What has been mapped and bound goes on working: the broker is not on the data path.
  public func onDisconnect(_ handler: @escaping @Sendable () -> Void) { lease.link.onDisconnect(handler) }

  /// Ends the connection now, as the end of the process would: the broker closes every port and withdraws every arena.
  public func disconnect() { lease.link.shutDown() }

  /// Domain management, for clients of domain 0.
  public var administrator: BrokerAdministrator { BrokerAdministrator(lease: lease) }

  public func makeGrantArena(for peer: DomainID, access: GrantAccess, pageCount: Int) throws(PlatformError) -> GrantArena {
    guard pageCount > 0, pageCount <= Int(UInt32.max) else {
      throw .refused(operation: "making of a grant arena", reason: "\(pageCount) is not a number of pages it can have")
    }
    let (files, mappings) = try ArenaFiles.make(access: access, pageCount: pageCount)
    let request = BrokerRequest.registerArena(peer: peer, readOnly: access == .readOnly, pageCount: UInt32(pageCount))
    let first = try lease.link.call(request, descriptors: [files.data, files.entries, files.status]) { incoming throws(PlatformError) in
      guard case .arenaRegistered(let first) = incoming.message else { throw incoming.unexpected }
      return first
    }
    return GrantArena(peer: peer, access: access, memory: mappings.memory(firstReference: first, pageCount: pageCount)) { [lease] in
      lease.link.post(.releaseArena(firstReference: first))
    }
  }

  /// Offers the store a page that was granted to domain 0 as `reference`, and the unbound channel `port` that goes with it: from then
  /// on this process can speak to the store as its domain through the page, and needs no store socket. A process can offer several.
  /// The store lets go of the page when the channel is closed.
  public func connectStore(page reference: GrantReference, port: EventChannelPort) throws(PlatformError) {
    try lease.link.call(.connectStore(reference: reference, port: port)) { incoming throws(PlatformError) in
      guard case .done = incoming.message else { throw incoming.unexpected }
    }
  }

  public func foreignGrants(of granter: DomainID) throws(PlatformError) -> ForeignGrants {
    SharedForeignGrants(granter: granter, mappedBy: domain, source: BrokerArenaSource(lease: lease))
  }

  public func allocateUnboundChannel(for remote: DomainID) throws(PlatformError) -> EventChannel {
    try lease.channel(.allocateUnbound(remote: remote), remote: remote)
  }

  public func bindInterdomainChannel(remote: DomainID, port: EventChannelPort) throws(PlatformError) -> EventChannel {
    try lease.channel(.bindInterdomain(remote: remote, port: port), remote: remote)
  }
}

extension BrokerLease {
  /// Asks for a channel. It is made on the link's thread, so that no notification about it can come too early.
  fileprivate func channel(_ request: BrokerRequest, remote: DomainID) throws(PlatformError) -> EventChannel {
    try link.call(request) { [self] incoming throws(PlatformError) in
      guard case .channel(let port) = incoming.message else { throw incoming.unexpected }
      let channel: EventChannel
      do throws(Errno) {
        channel = EventChannel(
          port: port, remoteDomain: remote, waitDescriptor: try incoming.descriptors[0].descriptor.duplicate(),
          signalDescriptor: try incoming.descriptors[1].descriptor.duplicate(),
          release: { [self] in
            link.forget(port)
            link.post(.closePort(port))
          })
      } catch {
        link.post(.closePort(port))
        throw .system(operation: "take an event channel's descriptors", error)
      }
      link.remember(channel)
      return channel
    }
  }
}

/// Asks the broker for arenas of other domains.
private final class BrokerArenaSource: ForeignArenaSource {
  private let lease: BrokerLease

  init(lease: BrokerLease) { self.lease = lease }

  private struct Opened: Sendable {
    var firstReference: GrantReference
    var access: GrantAccess
    var pageCount: Int
    var files: ArenaFiles
  }

  func openArena(containing reference: GrantReference, of granter: DomainID) throws(PlatformError) -> ForeignArena? {
    let opened = try lease.link.call(.openArena(granter: granter, reference: reference)) { incoming throws(PlatformError) -> Opened? in
      switch incoming.message {
      case .noArena: return nil
      case .arena(let first, let readOnly, let pageCount):
        let files = ArenaFiles(data: incoming.descriptors[0], entries: incoming.descriptors[1], status: incoming.descriptors[2])
        return Opened(firstReference: first, access: readOnly ? .readOnly : .readWrite, pageCount: Int(pageCount), files: files)
      default: throw incoming.unexpected
      }
    }
    guard let opened else { return nil }
    return try opened.files.openAsMapper(firstReference: opened.firstReference, access: opened.access, pageCount: opened.pageCount)
  }
}
