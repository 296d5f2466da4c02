import XenInterface
import XenStoreWire

extension XenStoreCore {
  // MARK: Nodes

  /// A node that exists, as quotas see it; nil when it is missing. Throws when the connection may not do `access` to it or, for a
  /// missing one, above it. Names of children are counted for unprivileged connections only.
  func footprint(
    at path: XenStorePath, for request: StoreRequest, needing access: XenStorePermission.Access
  ) throws(XenStoreError) -> NodeFootprint? {
    do throws(XenStoreError) {
      let node = try node(at: path, for: request, needing: access)
      var footprint = footprint(of: node, for: request.connection)
      if let value = request.transaction?.newValue(at: path) { footprint.valueByteCount = value.count }
      return footprint
    } catch {
      guard error == .noEntry else { throw error }
      return nil
    }
  }

  func footprint(of node: XenStoreNode, for connection: StoreConnection) -> NodeFootprint {
    NodeFootprint(node, countingChildNamesUpTo: connection.isPrivileged ? 0 : limit(.nodeSize, of: connection.domain))
  }

  /// Counts one node's change of size or owner, in the same step as the caller makes it. Throws when it goes over a quota of an
  /// unprivileged connection; nothing has changed then.
  func count(
    change before: NodeFootprint, to after: NodeFootprint, at path: XenStorePath, for request: StoreRequest
  ) throws(XenStoreError) {
    let isBound = !request.connection.isPrivileged
    guard isBound || before.owner != .control || after.owner != .control else { return }
    let bytesBefore = before.memoryByteCount(pathByteCount: path.bytes.count)
    let bytesAfter = after.memoryByteCount(pathByteCount: path.bytes.count)
    if isBound {
      try checkSize(of: after, for: request.connection)
      if bytesAfter > bytesBefore { try checkRoom(for: NodeCharge(byteCount: bytesAfter - bytesBefore), of: after.owner, request) }
    }
    if before.owner == after.owner {
      add(NodeCharge(byteCount: bytesAfter - bytesBefore), to: after.owner, request.transaction)
    } else {
      add(NodeCharge(nodeCount: -1, byteCount: -bytesBefore), to: before.owner, request.transaction)
      add(NodeCharge(nodeCount: 1, byteCount: bytesAfter), to: after.owner, request.transaction)
    }
    if isBound { request.transaction?.noteWritten(path, byteCount: bytesAfter) }
  }

  /// Counts a node that is about to be created at `path`, and those on the way to it below `place`, where `parent` is. Throws like
  /// ``count(change:to:at:for:)``.
  func countCreation(
    of path: XenStorePath, below place: XenStorePath, _ parent: NodeFootprint, valueByteCount: Int, permissions: [XenStorePermission],
    for request: StoreRequest
  ) throws(XenStoreError) {
    let owner = permissions[0].domain
    let isBound = !request.connection.isPrivileged
    guard isBound || owner != .control else { return }
    let onTheWay = NodeFootprint(owner: owner, valueByteCount: 0, permissionCount: permissions.count)
    var created = onTheWay
    created.valueByteCount = valueByteCount

    // A path's bytes are those of the parent's, a slash and a name; the root's own slash is the first one.
    var pathByteCount = place.isRoot ? 0 : place.bytes.count
    var charge = NodeCharge()
    let names = Array(path.names.dropFirst(place.depth))
    for (index, name) in names.enumerated() {
      pathByteCount += 1 + name.byteCount
      let footprint = index == names.count - 1 ? created : onTheWay
      charge += NodeCharge(nodeCount: 1, byteCount: footprint.memoryByteCount(pathByteCount: pathByteCount))
    }
    if isBound {
      try checkSize(of: created, for: request.connection)
      try checkChildNames(of: parent, adding: names, onTheWay: onTheWay, for: request.connection)
      try checkRoom(for: charge, of: owner, request)
    }
    add(charge, to: owner, request.transaction)
    if isBound { request.transaction?.noteWritten(path, byteCount: charge.byteCount) }
  }

  /// Counts permissions that the daemon itself is about to change in the live tree.
  func countChange(ofPermissionsAt path: XenStorePath, to permissions: [XenStorePermission]) {
    guard let before = tree.node(at: path).map({ NodeFootprint($0) }), let owner = permissions.first?.domain else { return }
    var after = before
    after.owner = owner
    after.permissionCount = permissions.count
    add(NodeCharge(nodeCount: -1, byteCount: -before.memoryByteCount(pathByteCount: path.bytes.count)), to: before.owner, nil)
    add(NodeCharge(nodeCount: 1, byteCount: after.memoryByteCount(pathByteCount: path.bytes.count)), to: after.owner, nil)
  }

  /// Gives back what a node and everything below it cost their owners; the caller removes them.
  func countRemoval(at path: XenStorePath, in tree: XenStoreTree, transaction: StoreTransaction?) {
    // Without a node that counts, there is nothing to look for.
    if quotaState.countedNodeCount == 0, transaction?.charges.isEmpty ?? true { return }
    forEachFootprint(from: path, in: tree) { footprint, pathByteCount in
      guard footprint.owner != .control else { return }
      add(-NodeCharge(nodeCount: 1, byteCount: footprint.memoryByteCount(pathByteCount: pathByteCount)), to: footprint.owner, transaction)
    }
  }

  /// Counts what a transaction did to nodes, when it is committed.
  func countCommit(of transaction: StoreTransaction) {
    for (owner, charge) in transaction.charges { add(charge, to: owner, nil) }
  }

  /// Whether a transaction of an unprivileged connection may be committed: others may have used the room that it had.
  func checkRoom(toCommit transaction: StoreTransaction, of connection: StoreConnection) throws(XenStoreError) {
    guard !connection.isPrivileged else { return }
    for (owner, charge) in transaction.charges.sorted(by: { $0.key < $1.key }) {
      let held = owner == connection.domain ? transaction.countedByteCount : 0
      try checkRoom(for: charge, of: owner, pending: NodeCharge(byteCount: -held))
    }
  }

  /// Counts all nodes anew, after the tree came from elsewhere (a store on disk, an earlier process).
  func recountNodes() {
    quotaState.countedNodeCount = 0
    for domain in usage.keys { update(domain) { $0.nodes = NodeCharge() } }
    for (owner, charge) in chargesOfAllNodes() { add(charge, to: owner, nil) }
  }

  /// What every domain but the control domain owns, by a walk through the whole tree.
  func chargesOfAllNodes(ownedByControl: Bool = false) -> [DomainID: NodeCharge] {
    var charges: [DomainID: NodeCharge] = [:]
    forEachFootprint(from: .root, in: tree) { footprint, pathByteCount in
      guard footprint.owner != .control || ownedByControl else { return }
      charges[footprint.owner, default: NodeCharge()] +=
        NodeCharge(nodeCount: 1, byteCount: footprint.memoryByteCount(pathByteCount: pathByteCount))
    }
    return charges
  }

  /// Every node from `path` down, with its path's length instead of its path: no memory is needed for each.
  private func forEachFootprint(from path: XenStorePath, in tree: XenStoreTree, _ visit: (NodeFootprint, _ pathByteCount: Int) -> Void) {
    guard let top = tree.node(at: path) else { return }
    // Most nodes that are removed have none below them.
    if top.children.isEmpty { return visit(NodeFootprint(top), path.bytes.count) }
    var pending = [(node: top, pathByteCount: path.bytes.count)]
    while let (node, pathByteCount) = pending.popLast() {
      visit(NodeFootprint(node), pathByteCount)
      let prefixByteCount = pathByteCount == 1 ? 0 : pathByteCount
      for child in node.children.entries { pending.append((child.element, prefixByteCount + 1 + child.name.byteCount)) }
    }
  }

  private func add(_ charge: NodeCharge, to owner: DomainID, _ transaction: StoreTransaction?) {
    guard owner != .control else { return }
    if let transaction {
      transaction.charges[owner, default: NodeCharge()] += charge
    } else {
      quotaState.countedNodeCount += charge.nodeCount
      update(owner) { $0.nodes += charge }
    }
  }

  // MARK: Checks

  private func checkSize(of footprint: NodeFootprint, for connection: StoreConnection) throws(XenStoreError) {
    let limit = limit(.nodeSize, of: connection.domain)
    guard footprint.nodeByteCount < limit else { throw refuse(.nodeSize, of: connection.domain, limit: limit, value: footprint.nodeByteCount) }
    quotaState.peaks.note(.nodeSize, footprint.nodeByteCount)
  }

  /// Names of children are part of a node's size: of the node that exists, and of those created on the way, which have one child each.
  private func checkChildNames(
    of parent: NodeFootprint, adding names: [XenStoreName], onTheWay: NodeFootprint, for connection: StoreConnection
  ) throws(XenStoreError) {
    var footprint = parent
    for name in names {
      footprint.childNamesByteCount += name.byteCount + 1
      try checkSize(of: footprint, for: connection)
      footprint = onTheWay
    }
  }

  private func checkRoom(for charge: NodeCharge, of owner: DomainID, _ request: StoreRequest) throws(XenStoreError) {
    try checkRoom(for: charge, of: owner, pending: NodeCharge(nodeCount: request.transaction?.charges[owner]?.nodeCount ?? 0))
  }

  /// `pending` is what is to be counted besides the live tree.
  private func checkRoom(for charge: NodeCharge, of owner: DomainID, pending: NodeCharge) throws(XenStoreError) {
    guard owner != .control else { return }
    let usage = usage[owner] ?? DomainUsage()
    if charge.nodeCount > 0 {
      let limit = limit(.nodes, of: owner)
      let value = usage.nodes.nodeCount + pending.nodeCount + charge.nodeCount
      guard value <= limit else { throw refuse(.nodes, of: owner, limit: limit, value: value) }
    }
    if charge.byteCount > 0 {
      try checkMemory(of: owner, adding: pending.byteCount + charge.byteCount)
    }
  }

  /// Throws ENOMEM when an unprivileged domain would go over its memory with `byteCount` more.
  func checkMemory(of domain: DomainID, adding byteCount: Int) throws(XenStoreError) {
    let limit = limit(.memory, of: domain)
    let value = (usage[domain]?.memoryByteCount ?? 0) + byteCount
    guard value <= limit else { throw refuse(.memory, of: domain, limit: limit, value: value) }
  }

  // MARK: Watches, transactions, events

  /// Counts a watch that was added (`sign` 1) or removed (-1).
  func count(_ watch: Watch, sign: Int) {
    let isBound = !watch.connection.isPrivileged
    update(watch.connection.domain) {
      $0.watchCount += sign
      if isBound { $0.watchByteCount += sign * XenStoreCore.memoryByteCount(ofWatchAt: watch.givenPath, token: watch.token) }
    }
  }

  /// What a watch costs of ``XenStoreQuota/memory``.
  static func memoryByteCount(ofWatchAt path: some Collection<UInt8>, token: some Collection<UInt8>) -> Int {
    64 + path.count + token.count
  }

  /// Counts what the transaction of an unprivileged connection keeps, after each of its requests. One that keeps too much, or looked at
  /// too many nodes, fails with this request, and so does its commit.
  func settle(_ packet: XenStorePacket, from connection: StoreConnection) throws(XenStoreError) {
    guard let transaction = connection.transactions[packet.transactionID] else { return }
    let growth = transaction.heldByteCount - transaction.countedByteCount
    transaction.countedByteCount += growth
    update(connection.domain) { $0.transactionByteCount += growth }
    do throws(XenStoreError) {
      let limit = limit(.transactionNodes, of: connection.domain)
      let count = transaction.accessed.count
      guard count <= limit else { throw refuse(.transactionNodes, of: connection.domain, limit: limit, value: count) }
      quotaState.peaks.note(.transactionNodes, count)
      if growth > 0 { try checkMemory(of: connection.domain, adding: 0) }
    } catch {
      transaction.failure = error
      throw error
    }
  }

  /// A transaction is over, whatever its outcome.
  func countEnd(of transaction: StoreTransaction, of connection: StoreConnection) {
    if transaction.isFollowing { followers.remove(transaction) }
    update(connection.domain) {
      $0.transactionCount -= 1
      $0.transactionByteCount -= transaction.countedByteCount
    }
  }

  /// Counts the watch events that wait for an unprivileged connection; to be called whenever one was added or
  /// taken, or all were.
  func countQueue(of connection: StoreConnection) {
    guard !connection.isPrivileged else { return }
    let byteCount = connection.output.eventByteCount
    guard byteCount != connection.countedEventByteCount else { return }
    if byteCount == 0 {
      connection.eventAges.removeAll()
    } else if byteCount > connection.countedEventByteCount {
      noteEvent(for: connection)
    } else {
      connection.eventAges.removeFirst()
    }
    settleQueue(of: connection)
  }

  /// The same when the ages of the events are right already.
  func settleQueue(of connection: StoreConnection) {
    let growth = connection.output.eventByteCount - connection.countedEventByteCount
    connection.countedEventByteCount += growth
    update(connection.domain) { $0.queuedByteCount += growth }
  }

  /// Changes what a domain holds; a domain that holds nothing is not kept.
  func update(_ domain: DomainID, _ change: (inout DomainUsage) -> Void) {
    if domain == .control { return change(&usage.control) }
    var usage = usage[domain] ?? DomainUsage()
    change(&usage)
    self.usage[domain] = usage
    noteUsage(usage, of: domain)
  }
}
