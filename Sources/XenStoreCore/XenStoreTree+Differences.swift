import XenStoreWire

extension XenStoreTree {
  /// Where this tree's nodes are not as in `other`: another value, permissions or generation, or in one of the two only. In order,
  /// parents first. A node that is missing here is named without those below it. Costs no more than what the trees do not share.
  func differences(from other: XenStoreTree) -> [XenStorePath] {
    var found: [XenStorePath] = []
    var pending: [(path: XenStorePath, here: XenStoreNode, there: XenStoreNode?)] = [(.root, root, other.root)]
    while let (path, here, there) = pending.popLast() {
      guard let there else {
        found.append(path)
        for child in here.children.entries { pending.append((path.appending(child.name), child.element, nil)) }
        continue
      }
      if here === there { continue }
      if here.generation != there.generation || here.value != there.value || here.permissions != there.permissions { found.append(path) }
      for child in there.children.entries where here.child(named: child.name) == nil { found.append(path.appending(child.name)) }
      for child in here.children.entries {
        pending.append((path.appending(child.name), child.element, there.child(named: child.name)))
      }
    }
    return found.sorted()
  }
}
