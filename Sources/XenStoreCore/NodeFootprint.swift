import XenInterface
import XenStoreWire

/// What quotas look at in a node, copied out of it: who holds a node itself makes the tree duplicate it when it changes.
struct NodeFootprint {
  /// Bytes counted for a node besides its content, as C xenstored has them in front of a record.
  static let fixedByteCount = 24
  /// Bytes counted for an entry of the permission list.
  static let permissionByteCount = 8

  var owner: DomainID
  var valueByteCount: Int
  var permissionCount: Int
  /// Names of the children, each with its NUL; counted up to the limit that the reader gave, and only when it gave one.
  var childNamesByteCount = 0

  init(owner: DomainID, valueByteCount: Int, permissionCount: Int) {
    self.owner = owner
    self.valueByteCount = valueByteCount
    self.permissionCount = permissionCount
  }

  init(_ node: XenStoreNode, countingChildNamesUpTo limit: Int = 0) {
    self.init(
      owner: node.owner, valueByteCount: node.value.count, permissionCount: node.permissions.count)
    guard limit > 0 else { return }
    for child in node.children.entries {
      childNamesByteCount += child.name.byteCount + 1
      if childNamesByteCount >= limit { return }
    }
  }

  /// What ``XenStoreQuota/nodeSize`` limits.
  var nodeByteCount: Int {
    NodeFootprint.fixedByteCount + NodeFootprint.permissionByteCount * permissionCount + valueByteCount + childNamesByteCount
  }

  /// What the node costs its owner of ``XenStoreQuota/memory``. Its children's names are in their paths.
  func memoryByteCount(pathByteCount: Int) -> Int {
    NodeFootprint.fixedByteCount + NodeFootprint.permissionByteCount * permissionCount + valueByteCount + pathByteCount
  }
}
