import XenInterface
import XenStoreWire

/// One open transaction: which nodes were looked at and changed, and a copy of the tree as it was and one to work on; but the copies
/// only from when it cannot follow the live tree any more, see ``Followers``.
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

  private struct Snapshot {
    var base: XenStoreTree
    var working: XenStoreTree
  }

  /// What a follower knows of a node that it looked at.
  struct Access {
    /// Nil for a missing node.
    let generation: UInt64?
    /// What it has written, and with which generation.
    var newValue: [UInt8]?
    var newGeneration: UInt64 = 0
  }

  let id: UInt32
  private var snapshot: Snapshot?
  /// The live tree's version when the transaction began.
  private(set) var baseVersion: UInt64
  /// For a follower, where in the history of values it began.
  private(set) var followedSince = 0
  /// Whether a follower has written to a node.
  private(set) var hasNewValues = false
  /// Every node read or written, whether it existed or not: a change of any of them by others is a conflict.
  private(set) var accessed = FewElements<XenStorePath, Access>()
  /// The nodes that it changed, and how each is reported.
  private var changed = FewElements<XenStorePath, Report>()
  /// Set when the daemon could not carry out a change: committing the rest would be a partial commit (XSA-415, XSA-421).
  var failure: XenStoreError?

  /// Domains in permissions that it set: should one of them be released meanwhile, the commit must not bring it back (XSA-322).
  var namedDomains: Set<DomainID> = []

  /// What its changes do to what domains own, to be counted when it is committed.
  var charges: [DomainID: NodeCharge] = [:]
  /// What of ``heldByteCount`` is counted for the domain by now.
  var countedByteCount = 0
  private var accessedByteCount = 0
  private var writtenByteCount = 0
  private(set) var written: [XenStorePath: Int] = [:]
  /// What goes into the audit when it is committed, each once.
  private(set) var audited = FewElements<AuditedChange, Void>()

  struct AuditedChange: Hashable {
    let operation: XenStoreAudit.Operation
    let path: XenStorePath
  }

  /// A transaction that follows the live tree.
  init(id: UInt32, version: UInt64) {
    self.id = id
    baseVersion = version
  }

  /// A transaction with copies of the tree.
  init(id: UInt32, tree: XenStoreTree, version: UInt64) {
    self.id = id
    baseVersion = version
    snapshot = Snapshot(base: tree, working: tree)
  }

  // MARK: Following the live tree

  /// Whether it sees the live tree, with its own values in place of those there.
  var isFollowing: Bool { snapshot == nil }

  /// Makes a follower one that begins now. Nothing that it looked at may have changed.
  func follow(version: UInt64, since position: Int) {
    baseVersion = version
    followedSince = position
  }

  /// What a follower wrote to a node; nil when it did not.
  func newValue(at path: XenStorePath) -> [UInt8]? {
    guard hasNewValues, let index = accessed.index(of: path) else { return nil }
    return accessed.entries[index].detail.newValue
  }

  /// Writes to a node that was looked at.
  func setNewValue(_ value: [UInt8], at path: XenStorePath, generation: UInt64) {
    guard let index = accessed.index(of: path) else { return }
    accessed[detailAt: index].newValue = value
    accessed[detailAt: index].newGeneration = generation
    hasNewValues = true
  }

  // MARK: Copies of the tree

  /// The tree as it was when the transaction began. A follower has none.
  var base: XenStoreTree { snapshot!.base }

  /// The tree as the transaction has made it. A follower has none.
  var working: XenStoreTree {
    _read { yield snapshot!.working }
    _modify { yield &snapshot!.working }
  }

  /// Stops to follow: `base` is the tree as it was when the transaction began.
  func takeSnapshot(_ base: XenStoreTree, version: UInt64) {
    snapshot = Snapshot(base: base, working: base)
    baseVersion = version
    guard hasNewValues else { return }
    hasNewValues = false
    for (index, access) in accessed.entries.enumerated() {
      guard let value = access.detail.newValue else { continue }
      working.setValue(value, at: access.element, generation: access.detail.newGeneration)
      accessed[detailAt: index].newValue = nil
    }
  }

  /// A transaction that has looked at nothing begins when it does: what the tree was until then is of no matter.
  func dropUnusedSnapshot(version: UInt64) {
    guard accessed.isEmpty else { return }
    snapshot = nil
    baseVersion = version
  }

  /// Makes the transaction one that begins now. Nothing that it looked at may have changed in `tree`.
  func begin(with tree: XenStoreTree, version: UInt64) {
    var working = tree
    // Parents come before their children.
    for path in changes.sorted() { working.copyNode(at: path, from: self.working) }
    snapshot = Snapshot(base: tree, working: working)
    baseVersion = version
  }

  // MARK: What it looked at and changed

  /// `generation` is that of the live node, for a follower.
  func noteAccess(_ path: XenStorePath, generation: UInt64? = nil) {
    if accessed.insert(path, Access(generation: generation)) { accessedByteCount += path.bytes.count + StoreTransaction.accessByteCount }
  }

  /// Notes a change. One node is reported once, as its last reportable change says.
  func noteChange(_ path: XenStorePath, _ report: Report) {
    noteAccess(path)
    if changed.insert(path, report) || report == .silent { return }
    if let index = changed.index(of: path) { changed[detailAt: index] = report }
  }

  /// The nodes that it changed, in the order of the first change.
  var changes: [XenStorePath] { changed.all }

  var hasChanges: Bool { !changed.isEmpty }

  /// Bytes counted for a node that was looked at, besides its path.
  private static let accessByteCount = 64

  /// What it keeps in memory besides the live tree: the nodes it looked at by name, those it wrote with their content.
  var heldByteCount: Int { accessedByteCount + writtenByteCount }

  /// Notes what a node costs that is the transaction's own now.
  func noteWritten(_ path: XenStorePath, byteCount: Int) {
    writtenByteCount += byteCount - (written.updateValue(byteCount, forKey: path) ?? 0)
  }

  func noteAudit(_ operation: XenStoreAudit.Operation, _ path: XenStorePath) {
    audited.insert(AuditedChange(operation: operation, path: path))
  }

  func report(of path: XenStorePath) -> Report { changed.index(of: path).map { changed[detailAt: $0] } ?? .silent }
}
