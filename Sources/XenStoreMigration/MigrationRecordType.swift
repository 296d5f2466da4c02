/// What a record of a migration stream holds.
///
/// Below 16: the types of Xen's document (docs/designs/xenstore-migration.md). From ``firstOwn`` on: what that document has no place for
/// because only this daemon has it; all of them are listed here, with their bodies. A number is never given another meaning: a daemon
/// that does not know a type refuses the stream, and the old one goes on.
///
/// In the bodies below, numbers are little-endian, a *text* is a 32-bit byte count and UTF-8, *bytes* are a 32-bit count and as many
/// bytes, and a *descriptor* is the number under which the new program finds an open file (32 bits, -1 for none).
public struct MigrationRecordType: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  // MARK: Xen's

  /// Ends the stream; no body.
  public static let end = MigrationRecordType(rawValue: 0)
  /// ``MigrationGlobal``
  public static let global = MigrationRecordType(rawValue: 1)
  /// ``MigrationConnection``
  public static let connection = MigrationRecordType(rawValue: 2)
  /// ``MigrationWatch`` without a depth
  public static let watch = MigrationRecordType(rawValue: 3)
  /// ``MigrationTransaction``
  public static let transaction = MigrationRecordType(rawValue: 4)
  /// ``MigrationNode``
  public static let node = MigrationRecordType(rawValue: 5)
  /// ``MigrationGlobalQuotas``
  public static let globalQuotas = MigrationRecordType(rawValue: 6)
  /// ``MigrationDomain``
  public static let domain = MigrationRecordType(rawValue: 7)
  /// ``MigrationWatch`` with a depth (version 2)
  public static let extendedWatch = MigrationRecordType(rawValue: 8)

  // MARK: Our own

  /// The first type of our own: `pvio` in ASCII, which nobody who counts upwards from 9 will reach.
  public static let firstOwn: UInt32 = 0x7076_696F

  /// Once, before everything else of the store: last generation, last serial number and version of the live tree, last commit
  /// (64 bits each), requests are traced (8 bits).
  public static let storeState = own(0)
  /// In front of the node records of one tree: connection, transaction (32 bits each, zero for the live tree), then for each node
  /// record of that tree, in their order, the generation (64 bits; zero for an absent node).
  public static let generations = own(1)
  /// A known domain: number, target or `DOMID_INVALID` (16 bits each), introduced (8 bits).
  public static let domainState = own(2)
  /// In front of a connection record: its number in the stream (32 bits), its number in the store (64 bits), domain (16 bits),
  /// privileged (8 bits), how many bytes at the start of its output the store has given out already (32 bits), place of the
  /// listening socket it came through, label for the audit (texts).
  public static let connectionState = own(3)
  /// Input that the connection record's 16-bit count has no room for: connection (32 bits), bytes.
  public static let connectionInput = own(4)
  /// A node as an open transaction found it, where that is not how it is now: connection, transaction (32 bits each), exists
  /// (8 bits), generation (64 bits), path, value (bytes each), number of permissions (16 bits), each as in a node record.
  public static let snapshotNode = own(5)
  /// Behind the node records of a transaction: connection, transaction (32 bits each), version of the tree it began with (64 bits),
  /// failure (text, empty for none), number of paths looked at (32 bits), each path (bytes), number of changed paths (32 bits),
  /// each path (bytes) and how it will be reported (8 bits); bytes counted for its domain (64 bits); number of nodes it pays for
  /// (32 bits), each path (bytes) and bytes (64 bits); number of domains whose nodes it changes (32 bits), each domain (16 bits),
  /// nodes and bytes (64 bits each); number of audit entries (32 bits), each operation (text) and path (bytes).
  public static let transactionState = own(6)
  /// The audit, when there is one: number of its last entry (64 bits).
  public static let auditState = own(7)
  /// An entry of the audit: number, microseconds (64 bits each), domain (16 bits), label, operation (texts), path (bytes).
  public static let auditEntry = own(8)
  /// What a quota refused: quota (text), domain (16 bits), limit, value, count (64 bits each).
  public static let refusal = own(9)
  /// The highest values seen: of one domain (8 bits) and which (16 bits), or of all; then for each quota its name (text) and value (64 bits).
  public static let quotaPeaks = own(10)
  /// A listening store socket: descriptor, privileged (8 bits), domain (16 bits), removes its file (8 bits), path (text).
  public static let storeListener = own(16)
  /// The request that asked for the update and is not answered yet: connection, type, request id, transaction id (32 bits each).
  public static let updateRequest = own(17)
  /// In front of the connection record of a domain's page: connection, grant reference of the page, the domain's port (32 bits each).
  public static let connectionRing = own(18)
  /// The broker's counters: last connection (64 bits), last domain it picked (16 bits).
  public static let brokerState = own(32)
  /// A domain: number (16 bits), descriptor of its listening socket, name (text).
  public static let brokerDomain = own(33)
  /// A process: connection number (64 bits), descriptor, domain (16 bits), process, user, group (32 bits each), said hello (8 bits),
  /// number of messages not sent yet (32 bits), each message (bytes) with the number of its descriptors (8 bits) and these.
  public static let brokerConnection = own(34)
  /// A grant arena: granter, peer (16 bits each), holder (64 bits), read-only (8 bits), pages, first reference (32 bits each),
  /// descriptors of data, entries and status (-1 when its peer is gone).
  public static let brokerArena = own(35)
  /// An end of an event channel: domain (16 bits), port (32 bits), holder (64 bits), state (8 bits: 0 unbound, 1 interdomain,
  /// 2 orphaned), remote domain (16 bits), remote port (32 bits), descriptors to wait on and to signal.
  public static let brokerChannelEnd = own(36)
  /// What the broker gives out next: domain (16 bits), last port, next grant reference (32 bits each; zero for none yet).
  public static let brokerNumbers = own(37)
  /// The daemon: run directory (text).
  public static let daemonState = own(48)
  /// A locked file: role (text), descriptor, path (text).
  public static let daemonLock = own(49)
  /// Where termination signals are recorded that may have come too late to be acted on: descriptor.
  public static let daemonSignals = own(50)

  private static func own(_ number: UInt32) -> MigrationRecordType { MigrationRecordType(rawValue: firstOwn + number) }

  public var description: String {
    rawValue >= MigrationRecordType.firstOwn ? "own type \(rawValue - MigrationRecordType.firstOwn)" : "type \(rawValue)"
  }
}
