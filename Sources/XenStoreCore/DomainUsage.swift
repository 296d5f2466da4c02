import XenInterface

/// What one domain holds over all its connections, and in nodes; quotas are held against it. Every number changes in the same step as
/// what it counts (XSA-272).
///
/// Nodes of the control domain are not counted, so that its writes pay nothing for quotas that do not bind it.
struct DomainUsage: Equatable {
  var watchCount = 0
  var transactionCount = 0
  /// Nodes in the live tree that the domain owns, and their bytes: see ``NodeFootprint/memoryByteCount(at:)``.
  var nodes = NodeCharge()
  var watchByteCount = 0
  /// What its open transactions keep besides the live tree.
  var transactionByteCount = 0
  /// Watch events that it has not read.
  var queuedByteCount = 0

  /// What ``XenStoreQuota/memory`` limits.
  var memoryByteCount: Int { nodes.byteCount + watchByteCount + transactionByteCount + queuedByteCount }
}

/// What each domain holds; a domain that holds nothing is not kept. The control domain, which is asked for most, is found without hashing.
struct UsageTable {
  var control = DomainUsage()
  private var others: [DomainID: DomainUsage] = [:]

  /// The domains that hold something.
  var keys: [DomainID] { (self[.control] == nil ? [] : [.control]) + others.keys }

  subscript(domain: DomainID) -> DomainUsage? {
    get { domain == .control ? control == DomainUsage() ? nil : control : others[domain] }
    set {
      let kept = newValue == DomainUsage() ? nil : newValue
      if domain == .control { control = kept ?? DomainUsage() } else { others[domain] = kept }
    }
  }
}

/// Nodes and their bytes, or a change of both.
struct NodeCharge: Equatable {
  var nodeCount = 0
  var byteCount = 0

  static func += (left: inout NodeCharge, right: NodeCharge) {
    left.nodeCount += right.nodeCount
    left.byteCount += right.byteCount
  }

  static prefix func - (charge: NodeCharge) -> NodeCharge {
    NodeCharge(nodeCount: -charge.nodeCount, byteCount: -charge.byteCount)
  }
}
