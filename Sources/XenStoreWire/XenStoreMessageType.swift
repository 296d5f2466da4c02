/// What a packet asks or answers (`enum xsd_sockmsg_type` in `xen/include/public/io/xs_wire.h`). A reply repeats its request's type or is ``error``.
public enum XenStoreMessageType: UInt32, Sendable, CaseIterable {
  /// A command to the daemon itself; privileged (`XS_CONTROL`).
  case control = 0
  /// Names of a node's children (`XS_DIRECTORY`).
  case directory = 1
  /// A node's value (`XS_READ`).
  case read = 2
  /// A node's permissions (`XS_GET_PERMS`).
  case getPermissions = 3
  /// Asks to be told of changes at or below a path (`XS_WATCH`).
  case watch = 4
  /// Ends a watch (`XS_UNWATCH`).
  case unwatch = 5
  /// Opens a transaction; the reply carries its id (`XS_TRANSACTION_START`).
  case transactionStart = 6
  /// Commits ("T") or drops ("F") a transaction (`XS_TRANSACTION_END`).
  case transactionEnd = 7
  /// Makes a domain known; privileged (`XS_INTRODUCE`).
  case introduce = 8
  /// Forgets a domain; privileged (`XS_RELEASE`).
  case release = 9
  /// A domain's home path (`XS_GET_DOMAIN_PATH`).
  case getDomainPath = 10
  /// Sets a node's value and creates what is missing (`XS_WRITE`).
  case write = 11
  /// Creates a node (`XS_MKDIR`).
  case makeDirectory = 12
  /// Removes a node and all below it (`XS_RM`).
  case remove = 13
  /// Replaces a node's permissions (`XS_SET_PERMS`).
  case setPermissions = 14
  /// Daemon to client: something changed (`XS_WATCH_EVENT`).
  case watchEvent = 15
  /// Daemon to client: the request failed (`XS_ERROR`).
  case error = 16
  /// Whether a domain is known; privileged (`XS_IS_DOMAIN_INTRODUCED`).
  case isDomainIntroduced = 17
  /// A domain was resumed; privileged (`XS_RESUME`).
  case resume = 18
  /// Lets a stub domain act for its target; privileged (`XS_SET_TARGET`).
  case setTarget = 19
  /// Withdrawn from the protocol; answered with ENOSYS (`XS_RESTRICT`).
  case restrict = 20
  /// Ends all watches and transactions of the connection (`XS_RESET_WATCHES`).
  case resetWatches = 21
  /// A part of a node's children, for directories larger than one packet (`XS_DIRECTORY_PART`).
  case directoryPart = 22
  /// Newer than Xen 4.17 (`XS_GET_FEATURE`).
  case getFeature = 23
  /// Newer than Xen 4.17 (`XS_SET_FEATURE`).
  case setFeature = 24
  /// Newer than Xen 4.17 (`XS_GET_QUOTA`).
  case getQuota = 25
  /// Newer than Xen 4.17 (`XS_SET_QUOTA`).
  case setQuota = 26
}
