public import XenInterface

/// Where the page of a domain is found: what an INTRODUCE says of it, besides the domain.
@frozen public struct XenStoreRingAddress: Hashable, Sendable {
  /// The reference under which the domain has granted the page to the control domain.
  public var reference: GrantReference
  /// The port that it made for the control domain.
  public var port: EventChannelPort

  @inlinable public init(reference: GrantReference, port: EventChannelPort) {
    self.reference = reference
    self.port = port
  }

  /// References of Xen's own (`GNTTAB_NR_RESERVED_ENTRIES`), which no page is granted under here.
  public var isReserved: Bool { reference.rawValue < GrantTableLimits.reservedEntryCount }
}

extension XenStoreCore {
  /// Makes a connection as if it had just been opened: without watches, transactions, requests, output, and without a fault. What a
  /// domain that begins again asks for, and what becomes of one whose ring is broken.
  public func restart(_ id: XenStoreConnectionID) {
    guard let connection = connections[id] else { return }
    empty(connection)
    connection.fault = nil
    if needsWake { wakeHeldConnections() }
  }
}
