extension ReferenceStore {
  // MARK: Seeing

  /// The nodes that a request sees.
  func nodes(_ access: ReferenceAccess) -> [String: ReferenceNode] {
    access.transaction == 0 ? nodes : clients[access.client]!.transactions[access.transaction]!.nodes
  }

  func isAllowed(_ domain: Int, _ isPrivileged: Bool, _ right: (ReferencePermission) -> Bool, _ list: [ReferencePermission]) -> Bool {
    let target = targets[domain]
    if isPrivileged || list[0].domain == domain || list[0].domain == target { return true }
    return right(list.dropFirst().first { $0.domain == domain || $0.domain == target } ?? list[0])
  }

  func path(_ payload: [UInt8], _ access: ReferenceAccess) throws -> String {
    guard let end = payload.firstIndex(of: 0), end == payload.count - 1 else { throw Refusal("EINVAL") }
    return try path(payload[..<end], access)
  }

  func path(_ text: ArraySlice<UInt8>, _ access: ReferenceAccess) throws -> String {
    guard let path = ReferencePath.absolute(text, for: access.domain) else { throw Refusal("EINVAL") }
    return path
  }

  /// The node, if the client has the right; ENOENT when it is missing below a node on which the client has it, else EACCES.
  mutating func view(
    _ path: String, _ access: ReferenceAccess, needing right: KeyPath<ReferencePermission, Bool>, withAllBelow: Bool = false
  ) throws -> ReferenceNode {
    transaction(access) { $0.beginLater(lookingAt: path, withAllBelow: withAllBelow, $1) }
    touch(path, access)
    let nodes = nodes(access)
    if let node = nodes[path] {
      guard isAllowed(access.domain, access.isPrivileged, { $0[keyPath: right] }, node.permissions) else { throw Refusal("EACCES") }
      return node
    }
    let nearest = ReferenceTransaction.nearest(path, nodes)
    transaction(access) { transaction, live in
      var above = path
      while above != nearest {
        above = ReferencePath.parent(above)
        transaction.see(above, live)
      }
    }
    if !access.isPrivileged {
      touch(nearest, access)
      guard isAllowed(access.domain, false, { $0[keyPath: right] }, nodes[nearest]!.permissions) else { throw Refusal("EACCES") }
    }
    throw Refusal("ENOENT")
  }

  /// The same for a node that may be missing.
  mutating func viewIfPresent(_ path: String, _ access: ReferenceAccess, withAllBelow: Bool = false) throws -> ReferenceNode? {
    do {
      return try view(path, access, needing: \.mayWrite, withAllBelow: withAllBelow)
    } catch let refusal as Refusal where refusal.name == "ENOENT" {
      return nil
    }
  }

  func names(below path: String, _ access: ReferenceAccess) -> [[UInt8]] {
    let prefix = path == "/" ? 1 : path.utf8.count + 1
    return nodes(access).keys.filter { $0 != "/" && ReferencePath.parent($0) == path }
      .map { Array($0.utf8.dropFirst(prefix)) }.sorted { $0.lexicographicallyPrecedes($1) }
  }

  mutating func directoryPart(_ payload: [UInt8], _ access: ReferenceAccess) throws -> [UInt8] {
    let parts = payload.dropLast().split(separator: 0, omittingEmptySubsequences: false)
    guard payload.last == 0, parts.count == 2, let offset = UInt32(String(decoding: parts[1], as: UTF8.self)) else { throw Refusal("EINVAL") }
    let path = try path(parts[0], access)
    _ = try view(path, access, needing: \.mayRead)
    // The generation is the store's own affair; who compares puts this in its place.
    var reply = Array("generation".utf8) + [0]
    var position = 0
    for name in names(below: path, access) {
      if position >= Int(offset) { reply += name + [0] }
      position += name.count + 1
    }
    return reply + [0]
  }

  // MARK: Changing

  mutating func write(_ payload: [UInt8], _ access: ReferenceAccess, _ outcome: inout Outcome) throws {
    guard let end = payload.firstIndex(of: 0) else { throw Refusal("EINVAL") }
    let path = try path(payload[..<end], access)
    let value = Array(payload[(end + 1)...])
    guard var node = try viewIfPresent(path, access) else { return try create(path, value, access, &outcome) }
    let before = node.permissions
    node.value = value
    put(node, at: path, before, access, &outcome)
  }

  mutating func makeDirectory(_ payload: [UInt8], _ access: ReferenceAccess, _ outcome: inout Outcome) throws {
    let path = try path(payload, access)
    if try viewIfPresent(path, access) == nil { try create(path, [], access, &outcome) }
  }

  private mutating func put(
    _ node: ReferenceNode, at path: String, _ before: [ReferencePermission], _ access: ReferenceAccess, _ outcome: inout Outcome
  ) {
    var node = node
    node.change = clock
    if access.transaction != 0 {
      transaction(access) {
        $0.nodes[path] = node
        $0.change(path, .changed, $1)
      }
    } else {
      nodes[path] = node
      tell(path, [before, node.permissions, parentPermissions(path, nodes)], &outcome)
    }
  }

  private mutating func create(_ path: String, _ value: [UInt8], _ access: ReferenceAccess, _ outcome: inout Outcome) throws {
    let seen = nodes(access)
    let place = ReferenceTransaction.nearest(path, seen)
    var permissions = seen[place]!.permissions
    if !access.isPrivileged { permissions[0].domain = access.domain }
    var created = [path]
    while ReferencePath.parent(created.last!) != place { created.append(ReferencePath.parent(created.last!)) }
    if !access.isPrivileged { try checkRoom(created.count, access) }
    let now = clock
    let make: (inout [String: ReferenceNode]) -> Void = { nodes in
      for each in created { nodes[each] = ReferenceNode(value: each == path ? value : [], permissions: permissions, change: now) }
      nodes[place]!.change = now
    }
    if access.transaction != 0 {
      transaction(access) {
        make(&$0.nodes)
        // From the node up, as the real daemon comes by.
        for each in created { $0.change(each, each == path ? .changed : .silent, $1) }
        $0.change(place, .silent, $1)
      }
    } else {
      make(&nodes)
      tell(path, [permissions, parentPermissions(path, nodes)], &outcome)
    }
  }

  /// A guest owns at most so many nodes; too many inside a transaction make it fail as a whole.
  private mutating func checkRoom(_ count: Int, _ access: ReferenceAccess) throws {
    var owned = ReferenceStore.owned(by: access.domain, nodes)
    transaction(access) { transaction, _ in
      owned += ReferenceStore.owned(by: access.domain, transaction.nodes) - ReferenceStore.owned(by: access.domain, transaction.base)
    }
    guard owned + count <= limits.nodes else { throw fail(access, "ENOSPC") }
  }

  static func owned(by domain: Int, _ nodes: [String: ReferenceNode]) -> Int { nodes.values.count { $0.permissions[0].domain == domain } }

  mutating func remove(_ payload: [UInt8], _ access: ReferenceAccess, _ outcome: inout Outcome) throws {
    let path = try path(payload, access)
    guard path != "/" else {
      // The real daemon looks at it before it says so.
      transaction(access) { $0.see(path, $1) }
      throw Refusal("EINVAL")
    }
    guard try viewIfPresent(path, access, withAllBelow: true) != nil else {
      touch(ReferencePath.parent(path), access)
      guard nodes(access)[ReferencePath.parent(path)] != nil else { throw Refusal("ENOENT") }
      return
    }
    guard access.transaction != 0 else { return removeTree(path, &outcome) }
    let now = clock
    transaction(access) {
      let below = $0.nodes.keys.filter { ReferencePath.isBelow($0, path) }.sorted(by: ReferencePath.comesBefore)
      $0.change(path, .changed, $1)
      for each in below { $0.change(each, .removedWithAncestor, $1) }
      $0.change(ReferencePath.parent(path), .silent, $1)
      for each in below + [path] { $0.nodes[each] = nil }
      $0.nodes[ReferencePath.parent(path)]!.change = now
    }
  }

  /// Removes a node outside transactions. Watches below it are told first, the last in alphabetical order before all others.
  mutating func removeTree(_ path: String, _ outcome: inout Outcome) {
    let before = nodes
    for each in before.keys where each == path || ReferencePath.isBelow(each, path) { nodes[each] = nil }
    nodes[ReferencePath.parent(path)]!.change = clock
    for each in before.keys.filter({ ReferencePath.isBelow($0, path) }).sorted(by: { $1.utf8.lexicographicallyPrecedes($0.utf8) }) {
      tell(each, [before[each]!.permissions, parentPermissions(each, before)], exactly: true, &outcome)
    }
    tell(path, [before[path]!.permissions, parentPermissions(path, before)], &outcome)
  }

  mutating func setPermissions(_ payload: [UInt8], _ access: ReferenceAccess, _ outcome: inout Outcome) throws {
    guard let end = payload.firstIndex(of: 0), let list = ReferencePermission.list(payload[(end + 1)...]) else { throw Refusal("EINVAL") }
    if !access.isPrivileged, list.count > limits.permissions { throw fail(access, "ENOSPC") }
    if payload.first == UInt8(ascii: "@") {
      _ = try specialPermissions(payload[..<end], access)
      guard access.isPrivileged else { throw Refusal("EACCES") }
      special[String(decoding: payload[..<end], as: UTF8.self)] = list
      return
    }
    let path = try path(payload[..<end], access)
    var node = try view(path, access, needing: \.mayWrite)
    let owner = node.permissions[0].domain
    guard access.isPrivileged || owner == access.domain || owner == targets[access.domain] else { throw Refusal("EACCES") }
    guard access.isPrivileged || list[0].domain == owner else { throw Refusal("EPERM") }
    let before = node.permissions
    node.permissions = list
    put(node, at: path, before, access, &outcome)
    transaction(access) { transaction, _ in transaction.named.formUnion(list.map(\.domain)) }
  }

  func parentPermissions(_ path: String, _ nodes: [String: ReferenceNode]) -> [ReferencePermission]? {
    path == "/" ? nil : nodes[ReferencePath.parent(path)]?.permissions
  }

  // MARK: Steps

  /// Works on the request's transaction, if it is in one.
  mutating func transaction(_ access: ReferenceAccess, _ body: (inout ReferenceTransaction, [String: ReferenceNode]) -> Void) {
    guard access.transaction != 0 else { return }
    body(&clients[access.client]!.transactions[access.transaction]!, nodes)
  }

  mutating func touch(_ path: String, _ access: ReferenceAccess) { transaction(access) { $0.touch(path, $1) } }

  private mutating func fail(_ access: ReferenceAccess, _ name: String) -> Refusal {
    transaction(access) { transaction, _ in transaction.failure = name }
    return Refusal(name)
  }
}
