public import XenInterface
public import XenStoreWire

/// One step of a change of the live tree, or of what the store knows of domains. Applied in order to an empty store, all steps that
/// ever happened give the store as it is.
public enum XenStoreChange: Sendable, Hashable {
  /// A node is there with this value and these permissions, made if it was missing (its parent is there); its children stay.
  case node(XenStorePath, value: [UInt8], permissions: [XenStorePermission])
  /// A node that is there has this value; everything else of it stays.
  case value(XenStorePath, [UInt8])
  /// A node that is there has these permissions; everything else of it stays.
  case permissions(XenStorePath, [XenStorePermission])
  /// A node and everything below it is gone.
  case removal(XenStorePath)
  /// Who may watch a special name such as `@releaseDomain`.
  case specialPermissions(name: String, [XenStorePermission])
  /// A domain is known.
  case introduction(DomainID)
  /// A domain is not known any more; what it owned was removed before.
  case release(DomainID)
  /// A quota has another value, for one domain or (nil) for all that have none of their own.
  case quota(DomainID?, XenStoreQuota, Int)
  /// Feature bits that a domain is offered.
  case features(DomainID, UInt32)
  /// A stub domain has another domain's rights besides its own; nil: not any more.
  case target(stub: DomainID, DomainID?)
}

/// What became visible at once: the changes of one request, one transaction, or one of the daemon's own actions.
public struct XenStoreCommit: Sendable, Hashable {
  /// Counts commits from 1, without gaps, over the whole life of a store on disk.
  public var sequence: UInt64
  /// The highest generation in the tree afterwards (`DIRECTORY_PART` shows generations): later ones must be higher.
  public var generation: UInt64
  /// In the order in which they are to be applied; never empty.
  public var changes: [XenStoreChange]

  public init(sequence: UInt64, generation: UInt64, changes: [XenStoreChange]) {
    self.sequence = sequence
    self.generation = generation
    self.changes = changes
  }
}
