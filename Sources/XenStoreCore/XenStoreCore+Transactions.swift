import XenInterface
import XenStoreWire

extension XenStoreCore {
  func startTransaction(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    let connection = request.connection
    guard request.transaction == nil else { throw .busy }
    if !connection.isPrivileged {
      let limit = limit(.transactions, of: connection.domain)
      let count = (usage[connection.domain]?.transactionCount ?? 0) + 1
      guard count <= limit else { throw refuse(.transactions, of: connection.domain, limit: limit, value: count) }
    }
    var id: UInt32
    repeat { id = UInt32(truncatingIfNeeded: nextSerial()) } while id == 0 || connection.transactions[id] != nil
    connection.transactions.insert(StoreTransaction(id: id, version: version))
    update(connection.domain) { $0.transactionCount += 1 }
    if !reservations.isEmpty { reservations.begin(id, of: connection.id, now: now) }
    return XenStorePayload.decimal(UInt64(id))
  }

  func endTransaction(_ request: StoreRequest) throws(XenStoreError) {
    guard let transaction = request.transaction else { throw .noEntry }
    guard request.payload.count == 2, request.payload[1] == 0 else { throw .invalidArgument }
    let isCommit =
      switch request.payload[0] {
      case UInt8(ascii: "T"): true
      case UInt8(ascii: "F"): false
      default: throw XenStoreError.invalidArgument
      }
    // Whatever the outcome, the transaction is over: the client starts a new one when it wants to try again.
    request.connection.transactions.remove(transaction.id)
    defer { countEnd(of: transaction, of: request.connection) }
    if !reservations.isEmpty, reservations.end(transaction.id, of: request.connection.id) { needsWake = true }
    guard isCommit else { return }
    do throws(XenStoreError) {
      try commit(transaction, of: request.connection)
    } catch {
      if error == .tryAgain { fileReservation(after: transaction, of: request.connection) }
      throw error
    }
  }

  private func commit(_ transaction: StoreTransaction, of connection: StoreConnection) throws(XenStoreError) {
    if let failure = transaction.failure { throw failure }
    try checkRoom(toCommit: transaction, of: connection)
    if hasConflict(transaction) { throw .tryAgain }
    guard transaction.hasChanges else { return }
    if let changeRefusal { throw changeRefusal }

    if transaction.isFollowing {
      bringOver(transaction)
    } else if transaction.baseVersion != version {
      // No node that was looked at has changed, so each can be brought over as it is, parents before their children.
      for path in transaction.changes.sorted() { tree.copyNode(at: path, from: transaction.working) }
    } else {
      tree = transaction.working
    }
    version = nextGeneration()
    noteChanges(of: transaction)
    countCommit(of: transaction)
    auditCommit(of: transaction, by: connection)
    for path in transaction.changes { report(path, of: transaction) }
  }

  /// Lets a transaction see what others have changed since it began, before it looks at `path` for the first time: as long as nothing
  /// changed that it looked at, it may as well begin now. The real daemon, which has no snapshots, takes each node as it is when it is
  /// first looked at; without this, a change made before that would be a conflict here and none there.
  func beginLater(_ transaction: StoreTransaction, lookingAt path: XenStorePath, withAllBelow: Bool) {
    if !transaction.accessed.isEmpty {
      if transaction.accessed.contains(path), !withAllBelow { return }
      let then = transaction.base.nearestNode(to: path)
      let now = tree.nearestNode(to: path)
      if !withAllBelow, then.node.generation == now.node.generation, then.path == now.path { return }
      if hasConflict(transaction) { return }
    }
    transaction.begin(with: tree, version: version)
  }

  /// Whether others have changed what the transaction looked at.
  func hasConflict(_ transaction: StoreTransaction) -> Bool {
    guard transaction.baseVersion != version else { return false }
    if transaction.isFollowing {
      return transaction.accessed.entries.contains { tree.node(at: $0.element)?.generation != $0.detail.generation }
    }
    return transaction.accessed.entries.contains { hasChanged($0.element, since: transaction.base) }
  }

  private func hasChanged(_ path: XenStorePath, since base: XenStoreTree) -> Bool {
    tree.node(at: path)?.generation != base.node(at: path)?.generation
  }

  /// The tree that the transaction began with, as far as nodes and permissions are concerned: a follower changes values only.
  private func treeBefore(_ transaction: StoreTransaction) -> XenStoreTree { transaction.isFollowing ? tree : transaction.base }

  /// Notes what the commit made of each node that the transaction changed.
  private func noteChanges(of transaction: StoreTransaction) {
    guard journal.isOn else { return }
    let base = treeBefore(transaction)
    for path in transaction.changes.sorted() {
      let before = base.node(at: path)
      if let node = tree.node(at: path) {
        // One that only gained or lost a child is as it was.
        if before == nil || transaction.report(of: path) != .silent {
          note(.node(path, value: node.value, permissions: node.permissions))
        }
      } else if before != nil, path.parent.map({ tree.node(at: $0) != nil }) ?? false {
        note(.removal(path))
      }
    }
  }

  private func report(_ path: XenStorePath, of transaction: StoreTransaction) {
    guard watches.isWatched(path) else { return }
    let base = treeBefore(transaction)
    let before = base.node(at: path)?.permissions
    let after = tree.node(at: path)?.permissions
    // Created and removed again: nobody else ever could have seen it.
    guard before != nil || after != nil else { return }
    let permissions = [before, after, parentPermissions(of: path, in: base), parentPermissions(of: path, in: tree)]
    switch transaction.report(of: path) {
    case .silent: break
    case .changed: report(path, permissions: permissions)
    case .removedWithAncestor: reportRemovalWithAncestor(of: path, permissions: permissions)
    }
  }
}
