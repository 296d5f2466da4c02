public import XenInterface
public import XenStoreWire

/// What can be limited for each domain, by the names that Xen's tools use.
public enum XenStoreQuota: String, CaseIterable, Sendable, Hashable, Comparable, CustomStringConvertible {
  case nodes
  case watches
  case transactions
  case outstanding
  case transactionNodes = "transaction-nodes"
  case memory
  case nodeSize = "node-size"
  case pathLength = "path-max"
  case permissions
  /// Milliseconds that a watch event waits for a guest that does not read it; then it is dropped. Xen's daemon has it as an option,
  /// `--timeout watch-event`.
  case watchEvent = "watch-event-msec"
  /// Going over it is reported, and nothing else.
  case memoryWarning = "soft-memory"

  /// Reads a name as it comes over the wire. Newer tools say `node-permissions` for `permissions`.
  public init?(name: String) {
    self.init(rawValue: name == "node-permissions" ? "permissions" : name)
  }

  /// Those that limit; the others only warn.
  public static let limits = allCases.filter { !$0.isWarning }
  public var isWarning: Bool { self == .memoryWarning }

  /// What the number counts, for people.
  public var summary: String {
    switch self {
    case .nodes: "Nodes per domain"
    case .watches: "Watches per domain"
    case .transactions: "Transactions per domain"
    case .outstanding: "Outstanding requests per domain"
    case .transactionNodes: "Max. number of accessed nodes per transaction"
    case .memory: "Total Xenstore memory per domain (error level)"
    case .nodeSize: "Max. size of a node"
    case .permissions: "Max. number of permissions per node"
    case .pathLength: "Max. length of a node path"
    case .watchEvent: "Milliseconds an unread watch event is kept"
    case .memoryWarning: "Total Xenstore memory per domain (warning level)"
    }
  }

  /// What a request gets that would go over the limit. No request goes over the time of a watch event.
  public var error: XenStoreError {
    switch self {
    case .nodes, .watches, .transactions, .outstanding, .transactionNodes, .nodeSize, .permissions, .watchEvent: .noSpace
    case .memory, .memoryWarning: .noMemory
    case .pathLength: .invalidArgument
    }
  }

  public var description: String { rawValue }
  public static func < (left: XenStoreQuota, right: XenStoreQuota) -> Bool { left.rawValue < right.rawValue }
}
