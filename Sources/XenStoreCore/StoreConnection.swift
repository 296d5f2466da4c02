import SharedMemory
public import XenInterface
import XenStoreWire

/// Why the core is done with a connection; its owner must disconnect it.
public enum XenStoreConnectionFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// The peer announced a payload longer than the protocol allows.
  case payloadTooLong(byteCount: UInt32)
  /// The peer did not read its events, and more of them wait than ``XenStoreQuotas/unreadEventByteCount``.
  case eventsUnread(byteCount: Int)
  /// The connection's domain was released.
  case domainReleased(DomainID)

  public var description: String {
    switch self {
    case .payloadTooLong(let byteCount): "a packet announced \(byteCount) bytes of payload; at most 4096 are allowed"
    case .eventsUnread(let byteCount): "\(byteCount) bytes of watch events were not read"
    case .domainReleased(let domain): "domain \(domain) was released"
    }
  }
}

/// Everything the core keeps for one connection.
final class StoreConnection {
  let id: XenStoreConnectionID
  let domain: DomainID
  let isPrivileged: Bool
  /// What its owner says of who is at the other end, for the audit.
  let label: String
  /// The same in bytes.
  let labelBytes: [UInt8]
  // In cells: each request would otherwise be checked for overlapping accesses, a dozen times.
  private let parserCell = FixedCell(XenStorePacketParser())
  private let outputCell = FixedCell(OutputQueue())
  private let gateCell = FixedCell(OutputGate())
  private let transactionsCell = FixedCell(TransactionTable())
  var isWaitingForDurability = false
  var watches: [Watch] = []
  var fault: XenStoreConnectionFault?
  /// A request that is answered later, without its payload; those behind it wait.
  var postponed: XenStorePacket?
  /// A request that waits for another connection's turn to end; those behind it wait.
  var held: XenStorePacket?
  /// Replies it may leave unread before its requests wait.
  var unreadReplyLimit = Int.max
  /// Bytes of unread events that are counted for its domain.
  var countedEventByteCount = 0
  /// Since when those events wait.
  var eventAges = EventAges()
  /// Whether the core has told its owner that there is something to take.
  var isListedAsReady = false

  /// Whether a request of it waits for something else than its reading of replies.
  var isWaiting: Bool { postponed != nil || held != nil }

  init(id: XenStoreConnectionID, domain: DomainID, isPrivileged: Bool, label: String) {
    self.label = label
    labelBytes = Array(label.utf8)
    self.id = id
    self.domain = domain
    self.isPrivileged = isPrivileged
  }

  var parser: XenStorePacketParser {
    @inline(__always) _read { yield parserCell.value }
    @inline(__always) _modify { yield &parserCell.value }
  }

  var output: OutputQueue {
    @inline(__always) _read { yield outputCell.value }
    @inline(__always) _modify { yield &outputCell.value }
  }

  var transactions: TransactionTable {
    @inline(__always) _read { yield transactionsCell.value }
    @inline(__always) _modify { yield &transactionsCell.value }
  }

  /// What each packet of ``output`` waits for; kept only while commits are.
  var gate: OutputGate {
    @inline(__always) _read { yield gateCell.value }
    @inline(__always) _modify { yield &gateCell.value }
  }
}
