/// What one domain may hold in the store at a time, with Xen's defaults. Privileged connections are bound only by what protects the
/// daemon's memory. Zero means no limit.
public struct XenStoreQuotas: Sendable, Hashable {
  /// Nodes an unprivileged domain may own; one more is ENOSPC.
  public var nodesPerDomain = 1000
  /// Watches an unprivileged domain may have, over all its connections; one more is ENOSPC.
  public var watchesPerDomain = 128
  /// Transactions an unprivileged domain may have open, over all its connections; one more is ENOSPC.
  public var transactionsPerDomain = 10
  /// Nodes an unprivileged domain's transaction may look at or change; with one more it fails with ENOSPC.
  public var nodesPerTransaction = 1024
  /// Bytes that an unprivileged domain may occupy with nodes, watches, transactions and unread events; going above is ENOMEM.
  public var memoryByteCount = 2560 << 10
  /// The same for a warning.
  public var memoryWarningByteCount = 2048 << 10
  /// Bytes of a node that an unprivileged domain writes to: value, permissions, names of children and 24 more. As many are ENOSPC.
  public var nodeByteCount = 2048
  /// Entries an unprivileged domain may give a node's permission list; one more is ENOSPC.
  public var permissionsPerNode = 5
  /// Bytes of a path that an unprivileged domain uses, without a leading `/local/domain/N/`; longer is EINVAL. No path is longer than
  /// 2048 bytes, whatever this says.
  public var pathByteCount = 2048
  /// Milliseconds that an event waits for an unprivileged domain to read it, before it is dropped.
  public var unreadEventMilliseconds = 20_000
  /// Replies a connection may leave unread before its further requests have to wait; applies to every connection.
  public var unreadRepliesPerConnection = 20
  /// Bytes of watch events a connection may leave unread before it is given up; applies to every connection.
  public var unreadEventByteCount = 4 << 20

  public init() {}

  /// The value by its name on the wire. Both ways by `switch`: a key path costs more than all the rest of a check.
  public subscript(quota: XenStoreQuota) -> Int {
    get {
      switch quota {
      case .nodes: nodesPerDomain
      case .watches: watchesPerDomain
      case .transactions: transactionsPerDomain
      case .outstanding: unreadRepliesPerConnection
      case .transactionNodes: nodesPerTransaction
      case .memory: memoryByteCount
      case .nodeSize: nodeByteCount
      case .pathLength: pathByteCount
      case .permissions: permissionsPerNode
      case .watchEvent: unreadEventMilliseconds
      case .memoryWarning: memoryWarningByteCount
      }
    }
    set {
      switch quota {
      case .nodes: nodesPerDomain = newValue
      case .watches: watchesPerDomain = newValue
      case .transactions: transactionsPerDomain = newValue
      case .outstanding: unreadRepliesPerConnection = newValue
      case .transactionNodes: nodesPerTransaction = newValue
      case .memory: memoryByteCount = newValue
      case .nodeSize: nodeByteCount = newValue
      case .pathLength: pathByteCount = newValue
      case .permissions: permissionsPerNode = newValue
      case .watchEvent: unreadEventMilliseconds = newValue
      case .memoryWarning: memoryWarningByteCount = newValue
      }
    }
  }
}
