/// What one domain may hold in the store at a time. Privileged connections are bound only by what protects the daemon's memory.
public struct XenStoreQuotas: Sendable, Hashable {
  /// Watches an unprivileged domain may have, over all its connections; one more is ENOSPC.
  public var watchesPerDomain = 128
  /// Transactions an unprivileged domain may have open, over all its connections; one more is ENOSPC.
  public var transactionsPerDomain = 10
  /// Entries an unprivileged domain may give a node's permission list; one more is ENOSPC.
  public var permissionsPerNode = 5
  /// Replies a connection may leave unread before its further requests have to wait; applies to every connection.
  public var unreadRepliesPerConnection = 20
  /// Bytes of watch events a connection may leave unread before it is given up; applies to every connection.
  public var unreadEventByteCount = 4 << 20

  public init() {}
}
