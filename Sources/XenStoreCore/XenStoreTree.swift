import XenInterface
import XenStoreWire

/// A whole tree as a value: a copy costs nothing and shares every node, and changing one copy duplicates only the nodes on
/// the way to the change. A transaction is such a copy.
struct XenStoreTree {
  private(set) var root: XenStoreNode
  /// Every copy has the same one: who has it alone shares no node with anybody.
  private var mark = Mark()

  private final class Mark {}

  /// A tree with nothing but the root, which the control domain owns.
  init(generation: UInt64) {
    root = XenStoreNode(value: [], permissions: [XenStorePermission(.control, .none)], generation: generation)
  }

  /// The deepest node that exists on the way to `path`, and where it is.
  func nearestNode(to path: XenStorePath) -> (path: XenStorePath, node: XenStoreNode) {
    let (node, depth) = deepestNode(on: path)
    return (path.prefix(nameCount: depth), node)
  }

  /// Changes the value of a node that exists.
  mutating func setValue(_ value: [UInt8], at path: XenStorePath, generation: UInt64) {
    let node = mutableNode(at: path)
    node?.value = value
    node?.generation = generation
  }

  /// Changes the permissions of a node that exists.
  mutating func setPermissions(_ permissions: [XenStorePermission], at path: XenStorePath, generation: UInt64) {
    let node = mutableNode(at: path)
    node?.permissions = permissions
    node?.generation = generation
  }

  /// Adds a node that is missing, and empty ones for what is missing on the way to it, all with the same permissions.
  mutating func create(value: [UInt8], permissions: [XenStorePermission], at path: XenStorePath, generation: UInt64) {
    makeRootMutable()
    var node = root
    for name in path.names {
      if let child = node.mutableChild(named: name) {
        node = child
      } else {
        let child = XenStoreNode(value: [], permissions: permissions, generation: generation)
        node.insert(child, named: name)
        node.generation = generation
        node = child
      }
    }
    node.value = value
  }

  /// Takes a node and everything below it out of the tree.
  mutating func remove(at path: XenStorePath, generation: UInt64) {
    guard let (parent, name) = mutableParent(of: path) else { return }
    if parent.removeChild(named: name) != nil { parent.generation = generation }
  }

  /// Makes a node as it is in `other`, except for its children: present with the same value, permissions and generation, or absent.
  /// The parent must exist when the node is to.
  mutating func copyNode(at path: XenStorePath, from other: XenStoreTree) {
    guard let source = other.node(at: path) else {
      takeOut(at: path)
      return
    }
    _ = put(value: source.value, permissions: source.permissions, generation: source.generation, at: path)
  }

  /// Makes a node as it was kept elsewhere, except for its children. Nothing else changes, not even the generation of its parent.
  /// False when the parent is missing.
  mutating func put(value: [UInt8], permissions: [XenStorePermission], generation: UInt64, at path: XenStorePath) -> Bool {
    if let node = mutableNode(at: path) {
      node.value = value
      node.permissions = permissions
      node.generation = generation
    } else if let (parent, name) = mutableParent(of: path) {
      parent.insert(XenStoreNode(value: value, permissions: permissions, generation: generation), named: name)
    } else {
      return false
    }
    return true
  }

  /// Takes a node and everything below it out, and changes nothing else.
  mutating func takeOut(at path: XenStorePath) {
    if let (parent, name) = mutableParent(of: path) { _ = parent.removeChild(named: name) }
  }

  /// Visits `path` and every node below it, parents first, without recursion: a hostile tree may be deep.
  /// `visit` says whether to go on below the node.
  func forEachNode(from path: XenStorePath, _ visit: (XenStorePath, XenStoreNode) -> Bool) {
    guard let top = node(at: path) else { return }
    var pending = [(path, top)]
    while let (path, node) = pending.popLast() {
      guard visit(path, node) else { continue }
      for child in node.children.entries.reversed() { pending.append((path.appending(child.name), child.element)) }
    }
  }

  /// A node that only this tree has, with every node on the way to it; nil when there is no such node.
  mutating func mutableNode(at path: XenStorePath) -> XenStoreNode? {
    if isKnownUniquelyReferenced(&mark) { return node(at: path) }
    makeRootMutable()
    var node = root
    for name in path.names {
      guard let child = node.mutableChild(named: name) else { return nil }
      node = child
    }
    return node
  }

  /// The node above `path`, this tree's own, and what `path` is called there; nil for the root and where there is no node above.
  private mutating func mutableParent(of path: XenStorePath) -> (XenStoreNode, XenStoreName)? {
    guard let parentPath = path.parent, let name = path.lastName, let parent = mutableNode(at: parentPath) else { return nil }
    return (parent, name)
  }

  private mutating func makeRootMutable() {
    if !isKnownUniquelyReferenced(&root) { root = root.copy() }
  }
}
