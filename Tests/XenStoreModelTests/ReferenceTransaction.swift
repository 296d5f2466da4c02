/// One open transaction: a copy of the dictionary as it was, a copy to work on, and what was looked at.
struct ReferenceTransaction {
  enum Report { case silent, changed, removedWithAncestor }

  var base: [String: ReferenceNode]
  var nodes: [String: ReferenceNode]
  /// Every node that was looked at or changed.
  var touched: Set<String> = []
  /// Every node that the real daemon looks at, with its last change outside when that was first done: besides ``touched``, those above a
  /// node that is missing, up to the first that is there.
  var seenByTheRule: [String: Int?] = [:]
  /// Changed nodes in the order in which they were first changed, and how their watches are told.
  var order: [String] = []
  var reports: [String: Report] = [:]
  /// Nodes that it changed before it removed them with one above.
  var changedBeforeRemoval: Set<String> = []
  /// Why it can no longer be committed.
  var failure: String?
  /// Domains in permissions that it set.
  var named: Set<Int> = []

  init(nodes: [String: ReferenceNode]) {
    base = nodes
    self.nodes = nodes
  }

  mutating func touch(_ path: String, _ live: [String: ReferenceNode]) {
    touched.insert(path)
    see(path, live)
  }

  mutating func see(_ path: String, _ live: [String: ReferenceNode]) {
    if seenByTheRule[path] == nil { seenByTheRule[path] = .some(live[path]?.change) }
  }

  mutating func change(_ path: String, _ report: Report, _ live: [String: ReferenceNode]) {
    touch(path, live)
    if reports[path] == nil { order.append(path) }
    if reports[path] == .changed, report == .removedWithAncestor { changedBeforeRemoval.insert(path) }
    if report != .silent || reports[path] == nil { reports[path] = report }
  }

  /// Whether others changed something that it looked at since its copy was made.
  func hasConflict(_ live: [String: ReferenceNode]) -> Bool { touched.contains { base[$0]?.change != live[$0]?.change } }

  /// The same by the real daemon's rule: since it first looked at each.
  func hasConflictByTheRule(_ live: [String: ReferenceNode]) -> Bool { seenByTheRule.contains { live[$0.key]?.change != $0.value } }

  /// Before it looks at `path` for the first time it may begin anew, as long as nothing changed that it looked at.
  mutating func beginLater(lookingAt path: String, withAllBelow: Bool, _ live: [String: ReferenceNode]) {
    if !touched.isEmpty {
      if touched.contains(path), !withAllBelow { return }
      let then = ReferenceTransaction.nearest(path, base)
      let now = ReferenceTransaction.nearest(path, live)
      if !withAllBelow, then == now, base[then]?.change == live[now]?.change { return }
      if hasConflict(live) { return }
    }
    let changed = nodes
    base = live
    nodes = live
    for path in order { nodes[path] = changed[path] }
  }

  static func nearest(_ path: String, _ nodes: [String: ReferenceNode]) -> String {
    var path = path
    while nodes[path] == nil { path = ReferencePath.parent(path) }
    return path
  }
}
