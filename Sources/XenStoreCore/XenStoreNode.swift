import XenStoreWire

/// One node. Nodes are shared between trees: whoever changes one must own it alone (``XenStoreTree`` sees to that).
final class XenStoreNode {
  struct Child {
    let name: String
    var node: XenStoreNode
  }

  var value: [UInt8]
  var permissions: [XenStorePermission]
  /// Number of the last change to this node's value, permissions or set of children; never used twice in a store.
  var generation: UInt64
  /// Ordered by name.
  private(set) var children: [Child]

  init(value: [UInt8], permissions: [XenStorePermission], generation: UInt64, children: [Child] = []) {
    self.value = value
    self.permissions = permissions
    self.generation = generation
    self.children = children
  }

  deinit {
    // A chain of last references would be released recursively, as deep as the tree is: take it apart level by level instead.
    guard !children.isEmpty else { return }
    var pending = children.map(\.node)
    children = []
    while var node = pending.popLast() {
      guard isKnownUniquelyReferenced(&node) else { continue }
      pending.append(contentsOf: node.children.map(\.node))
      node.children = []
    }
  }

  /// The same node for another tree; the children are shared.
  func copy() -> XenStoreNode {
    XenStoreNode(value: value, permissions: permissions, generation: generation, children: children)
  }

  func child(named name: some StringProtocol) -> XenStoreNode? {
    let index = position(of: name)
    return index < children.count && children[index].name == name ? children[index].node : nil
  }

  /// The child, made this node's own: copied when another tree shares it.
  func mutableChild(named name: some StringProtocol) -> XenStoreNode? {
    let index = position(of: name)
    guard index < children.count, children[index].name == name else { return nil }
    if !isKnownUniquelyReferenced(&children[index].node) { children[index].node = children[index].node.copy() }
    return children[index].node
  }

  func insert(_ node: XenStoreNode, named name: some StringProtocol) {
    children.insert(Child(name: String(name), node: node), at: position(of: name))
  }

  func removeChild(named name: some StringProtocol) -> XenStoreNode? {
    let index = position(of: name)
    guard index < children.count, children[index].name == name else { return nil }
    return children.remove(at: index).node
  }

  /// Where `name` is or belongs.
  private func position(of name: some StringProtocol) -> Int {
    var low = 0
    var high = children.count
    while low < high {
      let middle = low + (high - low) / 2
      if children[middle].name < name { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
