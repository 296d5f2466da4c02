import SharedMemory
import XenInterface
import XenStoreWire

/// One node. Nodes are shared between trees: whoever changes one must own it alone (``XenStoreTree`` sees to that).
///
/// The last reference to a node releases those below it one within the other. A path has at most 1024 names behind its domain's home,
/// so that is as deep as the stack gets.
final class XenStoreNode {
  var value: [UInt8]
  var permissions: [XenStorePermission] {
    didSet { owner = permissions.first?.domain ?? .control }
  }
  /// The domain that the first permission names.
  private(set) var owner: DomainID
  /// Number of the last change to this node's value, permissions or set of children; never used twice in a store.
  var generation: UInt64
  // In a cell: each level of each walk would otherwise be checked for overlapping accesses.
  private let childrenCell: FixedCell<NameTable<XenStoreNode>>
  /// What DIRECTORY answers, from the first time that it is asked for until a child comes or goes.
  private var listing: [UInt8]?

  init(value: [UInt8], permissions: [XenStorePermission], generation: UInt64, children: NameTable<XenStoreNode> = NameTable()) {
    self.value = value
    self.permissions = permissions
    owner = permissions.first?.domain ?? .control
    self.generation = generation
    childrenCell = FixedCell(children)
  }

  private(set) var children: NameTable<XenStoreNode> {
    @inline(__always) _read { yield childrenCell.value }
    @inline(__always) _modify { yield &childrenCell.value }
  }

  /// The same node for another tree; the children are shared.
  func copy() -> XenStoreNode {
    let copy = XenStoreNode(value: value, permissions: permissions, generation: generation, children: children)
    copy.listing = listing
    return copy
  }

  func child(named name: XenStoreName) -> XenStoreNode? { children[name] }

  /// The child, made this node's own: copied when another tree shares it.
  func mutableChild(named name: XenStoreName) -> XenStoreNode? {
    children.withElement(named: name) { node in
      if !isKnownUniquelyReferenced(&node) { node = node.copy() }
      return node
    }
  }

  func insert(_ node: XenStoreNode, named name: XenStoreName) {
    children.set(node, named: name)
    listing = nil
  }

  func removeChild(named name: XenStoreName) -> XenStoreNode? {
    listing = nil
    return children.remove(name)
  }

  /// The names of the children, each with its NUL, as DIRECTORY lists them.
  var directoryPayload: [UInt8] {
    if let listing { return listing }
    var payload: [UInt8] = []
    payload.reserveCapacity(children.count * 8)
    children.appendNames(to: &payload)
    listing = payload
    return payload
  }
}
