import XenInterface
import XenStoreWire

/// One open transaction: a copy of the tree as it was, a copy to work on, and which nodes were looked at and changed.
final class StoreTransaction {
  /// How a changed node is reported when the transaction is committed.
  enum Report {
    /// Not at all: the node only gained or lost a child, or was created on the way to another.
    case silent
    /// To watches of the node and of every node above it.
    case changed
    /// To watches of exactly this node: it went away with a node above it.
    case removedWithAncestor
  }

  let id: UInt32
  let base: XenStoreTree
  /// The live tree's version when the transaction began.
  let baseVersion: UInt64
  var working: XenStoreTree
  /// Every node read or written, whether it existed or not: a change of any of them by others is a conflict.
  private(set) var accessed: Set<XenStorePath> = []
  private(set) var changes: [XenStorePath] = []
  private var reports: [XenStorePath: Report] = [:]
  /// Set when the daemon could not carry out a change: committing the rest would be a partial commit (XSA-415, XSA-421).
  var failure: XenStoreError?

  init(id: UInt32, tree: XenStoreTree, version: UInt64) {
    self.id = id
    base = tree
    baseVersion = version
    working = tree
  }

  func noteAccess(_ path: XenStorePath) { accessed.insert(path) }

  /// Notes a change. One node is reported once, as its last reportable change says.
  func noteChange(_ path: XenStorePath, _ report: Report) {
    accessed.insert(path)
    switch (reports[path], report) {
    case (nil, _):
      changes.append(path)
      reports[path] = report
    case (_, .silent): break
    case (_, .changed), (_, .removedWithAncestor): reports[path] = report
    }
  }

  func report(of path: XenStorePath) -> Report { reports[path] ?? .silent }
}
