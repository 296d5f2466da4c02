public import XenInterface

/// What a hypervisor offers a driver: memory granted to another domain, memory granted by another domain, and event channels.
///
/// A value that is passed in, never a global and never a build flavour: the same driver runs between plain processes,
/// on a Xen host, and inside one test process. Where platforms differ, the difference is in ``capabilities``.
/// Thread-safe: any thread may call. These calls are control path; what they return is used on the data path.
public protocol XenPlatform: AnyObject, Sendable {
  /// The domain that this process acts for.
  var domain: DomainID { get }

  var capabilities: PlatformCapabilities { get }

  /// Makes zeroed memory that can be granted to `peer`, and to nobody else (`pageCount` pages of 4096 bytes).
  func makeGrantArena(for peer: DomainID, access: GrantAccess, pageCount: Int) throws(PlatformError) -> GrantArena

  /// What `granter` has granted to this domain. Cheap to call; pages are looked up when they are first mapped.
  func foreignGrants(of granter: DomainID) throws(PlatformError) -> ForeignGrants

  /// A new event channel that only `remote` can bind to (`EVTCHNOP_alloc_unbound`).
  func allocateUnboundChannel(for remote: DomainID) throws(PlatformError) -> EventChannel

  /// Binds to `port` of `remote`, which must be unbound and meant for this domain (`EVTCHNOP_bind_interdomain`).
  /// The new channel is signalled once on this side, in case the peer signalled before we were there.
  func bindInterdomainChannel(remote: DomainID, port: EventChannelPort) throws(PlatformError) -> EventChannel
}

/// How platforms differ.
public struct PlatformCapabilities: Sendable, Equatable {
  /// Mapping a page is a few instructions here, not a system call: persistent grants gain nothing.
  public var mapsLocally: Bool
  /// Pages that lie apart in the granter's memory can be mapped side by side: multi-page rings work.
  public var mapsContiguously: Bool
  /// Foreign pages may be handed to io_uring directly.
  public var mapsForDirectIO: Bool
  /// A page's grant can be taken back while its arena lives.
  public var withdrawsGrants: Bool
  /// The peer's end of an event channel tells when ours was closed or its process died. Where it does not, front-ends hear nothing of
  /// a back-end's end but by its `state`, and go on when another process takes up the live rings.
  public var reportsClosedPeers: Bool

  public init(
    mapsLocally: Bool, mapsContiguously: Bool, mapsForDirectIO: Bool, withdrawsGrants: Bool = true, reportsClosedPeers: Bool = true
  ) {
    self.mapsLocally = mapsLocally
    self.mapsContiguously = mapsContiguously
    self.mapsForDirectIO = mapsForDirectIO
    self.withdrawsGrants = withdrawsGrants
    self.reportsClosedPeers = reportsClosedPeers
  }
}

/// What a granted page may be used for.
public enum GrantAccess: UInt8, Sendable {
  /// The peer can only read (`GTF_readonly`): the kernel refuses it a writable mapping.
  case readOnly = 0
  case readWrite = 1
}
