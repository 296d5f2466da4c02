import XenInterface

/// Quotas as they were set, and what came of them.
struct QuotaState {
  /// Values that differ from the store's own for one domain.
  var overrides: [DomainID: [XenStoreQuota: Int]] = [:]
  var refusals = RefusalTable()
  /// Nodes in the live tree that the control domain does not own.
  var countedNodeCount = 0
  /// The most that any unprivileged domain had since the last reset.
  var peaks = QuotaPeaks()
  /// Domains that are above their warning level, so that it is reported once for each time that they pass it.
  var warned: Set<DomainID> = []
}

/// The highest number that was seen of each quota's kind.
struct QuotaPeaks {
  private var values = [11 of Int](repeating: 0)

  subscript(quota: XenStoreQuota) -> Int { values[QuotaPeaks.place(of: quota)] }

  mutating func note(_ quota: XenStoreQuota, _ value: Int) {
    let place = QuotaPeaks.place(of: quota)
    if value > values[place] { values[place] = value }
  }

  mutating func note(_ usage: DomainUsage) {
    note(.nodes, usage.nodes.nodeCount)
    note(.watches, usage.watchCount)
    note(.transactions, usage.transactionCount)
    note(.memory, usage.memoryByteCount)
  }

  private static func place(of quota: XenStoreQuota) -> Int {
    switch quota {
    case .nodes: 0
    case .watches: 1
    case .transactions: 2
    case .outstanding: 3
    case .transactionNodes: 4
    case .memory: 5
    case .nodeSize: 6
    case .permissions: 7
    case .pathLength: 8
    case .memoryWarning: 9
    case .watchEvent: 10
    }
  }
}
