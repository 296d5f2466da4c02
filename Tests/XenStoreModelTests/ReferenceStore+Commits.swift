extension ReferenceStore {
  mutating func end(_ payload: [UInt8], _ access: ReferenceAccess, _ outcome: inout Outcome) throws {
    guard access.transaction != 0 else { throw Refusal("ENOENT") }
    guard payload == Array("T\0".utf8) || payload == Array("F\0".utf8) else { throw Refusal("EINVAL") }
    let transaction = clients[access.client]!.transactions.removeValue(forKey: access.transaction)!
    guard payload.first == UInt8(ascii: "T") else { return }
    if let failure = transaction.failure { throw Refusal(failure) }
    if !access.isPrivileged {
      for domain in Set(transaction.nodes.values.map(\.permissions[0].domain)) where domain != 0 {
        let added = ReferenceStore.owned(by: domain, transaction.nodes) - ReferenceStore.owned(by: domain, transaction.base)
        if added > 0, ReferenceStore.owned(by: domain, nodes) + added > limits.nodes { throw Refusal("ENOSPC") }
      }
    }
    if transaction.hasConflict(nodes) {
      if !transaction.hasConflictByTheRule(nodes) { conflictsBeyondTheRule += 1 }
      throw Refusal("EAGAIN")
    }
    for path in transaction.order { nodes[path] = transaction.nodes[path] }
    for path in transaction.order {
      let report = transaction.reports[path]!
      if transaction.changedBeforeRemoval.contains(path) {
        var besides = Outcome()
        tell(path, [[ReferencePermission(letter: "b", domain: 0)]], &besides)
        outcome.permittedEvents.merge(besides.eventsBefore) { $0 + $1 }
      }
      guard report != .silent, transaction.base[path] != nil || nodes[path] != nil else { continue }
      let permissions = [
        transaction.base[path]?.permissions, nodes[path]?.permissions, parentPermissions(path, transaction.base), parentPermissions(path, nodes),
      ]
      tell(path, permissions, exactly: report == .removedWithAncestor, &outcome)
    }
  }
}
