import XenStoreWire

/// Walks through a tree without counting a reference at each level: every request walks, most of them more than once.
extension XenStoreTree {
  func node(at path: XenStorePath) -> XenStoreNode? {
    // SAFETY: this tree holds `root`, and each node those below it; only look-ups are called until the last one is retained, and nobody
    // else changes a node meanwhile, for the store belongs to one thread.
    var node = unsafe Unmanaged.passUnretained(root)
    var exists = true
    path.forEachName { name in
      if let child = unsafe node._withUnsafeGuaranteedRef({ unsafe $0.unretainedChild(named: name) }) { unsafe node = child } else { exists = false }
      return exists
    }
    return exists ? unsafe node.takeUnretainedValue() : nil
  }

  /// The deepest node that exists on the way to `path`, and how many names of the path lead to it.
  func deepestNode(on path: XenStorePath) -> (node: XenStoreNode, depth: Int) {
    // SAFETY: as above.
    var node = unsafe Unmanaged.passUnretained(root)
    var depth = 0
    path.forEachName { name in
      guard let child = unsafe node._withUnsafeGuaranteedRef({ unsafe $0.unretainedChild(named: name) }) else { return false }
      unsafe node = child
      depth += 1
      return true
    }
    return (unsafe node.takeUnretainedValue(), depth)
  }
}

extension NameTable where Element: AnyObject {
  /// The element of a name, not retained: it lasts as long as this table has it.
  @inline(__always) func unretained(_ name: XenStoreName) -> Unmanaged<Element>? {
    guard !isEmpty else { return nil }
    let chunk = chunkIndex(for: name)
    return unsafe NameTable.unretained(name, names[chunk], elements[chunk])
  }

  /// In a function of its own, to which both arrays are lent; where they are indexed in place, they are retained first.
  @inline(never) private static func unretained(_ name: XenStoreName, _ names: [XenStoreName], _ elements: [Element]) -> Unmanaged<Element>? {
    guard let index = index(of: name, in: names) else { return nil }
    // SAFETY: the table holds its elements; who calls keeps the table as it is until it needs the element no more.
    return unsafe Unmanaged.passUnretained(elements[index])
  }
}

extension XenStoreNode {
  /// The child, not retained: it lasts as long as this node has it.
  @inline(__always) func unretainedChild(named name: XenStoreName) -> Unmanaged<XenStoreNode>? { unsafe children.unretained(name) }
}
