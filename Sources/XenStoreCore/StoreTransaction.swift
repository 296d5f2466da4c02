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
  private(set) var base: XenStoreTree
  /// The live tree's version when the transaction began.
  private(set) var baseVersion: UInt64
  var working: XenStoreTree
  /// Every node read or written, whether it existed or not: a change of any of them by others is a conflict.
  private(set) var accessed = FewElements<XenStorePath>()
  /// The nodes that it changed, and how each is reported.
  private var changed = FewElements<XenStorePath>()
  private var reports: [Report] = []
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
  private(set) var audited = FewElements<AuditedChange>()

  struct AuditedChange: Hashable {
    let operation: XenStoreAudit.Operation
    let path: XenStorePath
  }

  init(id: UInt32, tree: XenStoreTree, version: UInt64) {
    self.id = id
    base = tree
    baseVersion = version
    working = tree
  }

  /// Makes the transaction one that begins now. Nothing that it looked at may have changed in `tree`.
  func begin(with tree: XenStoreTree, version: UInt64) {
    var working = tree
    // Parents come before their children.
    for path in changes.sorted() { working.copyNode(at: path, from: self.working) }
    self.working = working
    base = tree
    baseVersion = version
  }

  func noteAccess(_ path: XenStorePath) {
    if accessed.insert(path) { accessedByteCount += path.bytes.count + StoreTransaction.accessByteCount }
  }

  /// Notes a change. One node is reported once, as its last reportable change says.
  func noteChange(_ path: XenStorePath, _ report: Report) {
    noteAccess(path)
    if changed.insert(path) {
      reports.append(report)
    } else if report != .silent, let index = changed.index(of: path) {
      reports[index] = report
    }
  }

  /// The nodes that it changed, in the order of the first change.
  var changes: [XenStorePath] { changed.all }

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

  func report(of path: XenStorePath) -> Report { changed.index(of: path).map { reports[$0] } ?? .silent }
}
