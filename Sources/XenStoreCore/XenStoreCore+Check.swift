import XenInterface
import XenStoreWire

extension XenStoreCore {
  /// Looks whether the store is in order, by a walk through everything: nodes have owners and names in order, what is counted for
  /// quotas equals a recount, and the index of watches holds exactly the watches of the connections. What is not, one line each.
  public func checkConsistency() -> [String] {
    var findings: [String] = []
    tree.forEachNode(from: .root) { path, node in
      if node.permissions.isEmpty { findings.append("\(path): no owner") }
      if !zip(node.children.entries, node.children.entries.dropFirst()).allSatisfy({ $0.name < $1.name }) {
        findings.append("\(path): children are not in order")
      }
      return true
    }
    checkUsage(&findings)
    checkFollowers(&findings)
    checkWatches(&findings)
    return findings
  }

  private func checkWatches(_ findings: inout [String]) {
    var heldCount = 0
    for connection in connections.elements.sorted(by: { $0.id.number < $1.id.number }) {
      for watch in connection.watches {
        let indexed: [Watch]
        switch watch.target {
        case .special(let name): indexed = watches.watches(ofSpecial: name)
        case .node(let path):
          indexed = watches.watches(at: path)
          heldCount += 1
        }
        if !indexed.contains(where: { $0 === watch }) { findings.append("\(connection.id): a watch is missing in the index") }
      }
    }
    let indexedCount = ([.root] + watches.watchedPaths(below: .root)).reduce(0) { $0 + watches.watches(at: $1).count }
    if indexedCount != heldCount { findings.append("the index has \(indexedCount) watches of nodes, the connections have \(heldCount)") }
  }

  private func checkFollowers(_ findings: inout [String]) {
    let following = connections.elements.flatMap(\.transactions.values).filter { $0.isFollowing && !$0.accessed.isEmpty }
    if Set(following.map(ObjectIdentifier.init)) != Set(followers.transactions.map(ObjectIdentifier.init)) {
      findings.append("\(following.count) transactions follow the tree, \(followers.transactions.count) are known to do so")
    }
    for transaction in following where !hasConflict(transaction) {
      let changed = transaction.accessed.all.filter { followers.hasChanged($0, since: transaction.followedSince) }
      if !changed.isEmpty { findings.append("transaction \(transaction.id) missed changes of \(changed)") }
    }
  }

  private func checkUsage(_ findings: inout [String]) {
    var expected: [DomainID: DomainUsage] = [:]
    for (domain, charge) in chargesOfAllNodes() { expected[domain, default: DomainUsage()].nodes = charge }
    for connection in connections.elements {
      var usage = expected[connection.domain] ?? DomainUsage()
      usage.watchCount += connection.watches.count
      usage.transactionCount += connection.transactions.count
      if !connection.isPrivileged {
        for watch in connection.watches {
          usage.watchByteCount += XenStoreCore.memoryByteCount(ofWatchAt: watch.givenPath, token: watch.token)
        }
        for transaction in connection.transactions.values { usage.transactionByteCount += transaction.countedByteCount }
        usage.queuedByteCount += connection.output.eventByteCount
      }
      if usage != DomainUsage() { expected[connection.domain] = usage }
    }
    for domain in Set(expected.keys).union(usage.keys).sorted() where expected[domain] != usage[domain] {
      findings.append("domain \(domain): counted \(usage[domain] ?? DomainUsage()), recounted \(expected[domain] ?? DomainUsage())")
    }
  }
}

extension DomainUsage: CustomStringConvertible {
  var description: String {
    "\(nodes.nodeCount) nodes with \(nodes.byteCount) bytes, \(watchCount) watches with \(watchByteCount), "
      + "\(transactionCount) transactions with \(transactionByteCount), \(queuedByteCount) queued"
  }
}
