import XenInterface
import XenStoreWire

extension XenStoreCore {
  /// To be called before a node is taken out of ``treeUnderFollowers`` to be changed: afterwards the node might have become part of a copy.
  func prepareToChangeValue() {
    while followers.isFull { takeSnapshots(for: followers.forgetOldValues()) }
  }

  /// Keeps a node's value for those that follow the live tree.
  func noteOldValue(of node: XenStoreNode, at path: XenStorePath) {
    guard !followers.isEmpty else { return }
    followers.note(Followers.OldValue(path: path, value: node.value, generation: node.generation))
  }

  /// Gives a follower its own copy of the tree, as it was when it began, with what it has changed; a transaction that has one keeps it.
  func takeSnapshot(for transaction: StoreTransaction) {
    guard transaction.isFollowing else { return }
    if transaction.accessed.isEmpty {
      transaction.takeSnapshot(treeUnderFollowers, version: version)
    } else {
      takeSnapshots(for: [transaction])
    }
  }

  /// The same for all that have looked at something, before the live tree changes otherwise than by a value.
  func takeSnapshotsForFollowers() {
    if !followers.isEmpty { takeSnapshots(for: followers.transactions) }
  }

  /// Goes back once through what has changed, and leaves each follower a copy where it began.
  private func takeSnapshots(for transactions: [StoreTransaction]) {
    var base = treeUnderFollowers
    var position = followers.position
    for transaction in transactions.sorted(by: { $0.followedSince > $1.followedSince }) {
      for old in followers.changes(transaction.followedSince..<position).reversed() {
        base.setValue(old.value, at: old.path, generation: old.generation)
      }
      position = transaction.followedSince
      transaction.takeSnapshot(base, version: transaction.baseVersion)
    }
    for transaction in transactions { followers.remove(transaction) }
  }

  /// The node of the live tree that a follower looks at. When it must not see that one, it is no follower any more.
  func nodeForFollower(_ transaction: StoreTransaction, at path: XenStorePath) -> XenStoreNode? {
    let node = treeUnderFollowers.node(at: path)
    if transaction.accessed.isEmpty {
      transaction.follow(version: version, since: followers.position)
      guard followers.add(transaction) else {
        takeSnapshot(for: transaction)
        return node
      }
    } else if let index = transaction.accessed.index(of: path) {
      if transaction.baseVersion != version, node?.generation != transaction.accessed[detailAt: index].generation { takeSnapshot(for: transaction) }
      return node
    } else if transaction.accessed.count >= Followers.pathLimit || !mayFollow(transaction, to: path, node) {
      takeSnapshot(for: transaction)
      return node
    }
    transaction.noteAccess(path, generation: node?.generation)
    return node
  }

  /// As ``beginLater(_:lookingAt:withAllBelow:)``; nodes neither come nor go under a follower. False when it has to stay at what it saw.
  private func mayFollow(_ transaction: StoreTransaction, to path: XenStorePath, _ node: XenStoreNode?) -> Bool {
    guard transaction.baseVersion != version else { return true }
    let nearest = node == nil ? treeUnderFollowers.nearestNode(to: path).path : path
    if followers.hasChanged(nearest, since: transaction.followedSince) {
      if hasConflict(transaction) { return false }
      transaction.follow(version: version, since: followers.position)
    }
    return true
  }

  /// Puts what a follower that met no conflict has written into the live tree.
  func bringOver(_ transaction: StoreTransaction) {
    followers.remove(transaction)
    for access in transaction.accessed.entries {
      guard let value = access.detail.newValue else { continue }
      prepareToChangeValue()
      guard let node = treeUnderFollowers.mutableNode(at: access.element) else { continue }
      noteOldValue(of: node, at: access.element)
      node.value = value
      node.generation = access.detail.newGeneration
    }
  }
}
