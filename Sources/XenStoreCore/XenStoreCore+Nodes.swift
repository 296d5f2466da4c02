import XenInterface
import XenStoreWire

extension XenStoreCore {
  // MARK: Reading

  func read(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    let path = try onlyPath(request)
    let node = try node(at: path, for: request, needing: .read)
    return request.transaction?.newValue(at: path) ?? node.value
  }

  func directory(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    try node(at: try onlyPath(request), for: request, needing: .read).directoryPayload
  }

  /// As many names from a byte offset of the whole list as fit, behind the node's generation, by which the client notices that the
  /// list changed meanwhile. The last part ends with an empty name.
  func directoryPart(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    guard let strings = XenStorePayload.strings(request.payload), strings.count == 2,
      let offset = XenStorePayload.number(strings[1], as: UInt32.self)
    else { throw .invalidArgument }
    let path = try nodePath(strings[0], request)
    // A node that the transaction wrote has another generation than the live one.
    if let transaction = request.transaction, transaction.hasNewValues { takeSnapshot(for: transaction) }
    let node = try node(at: path, for: request, needing: .read)

    var reply = XenStorePayload.decimal(node.generation)
    var position = 0
    for child in node.children.entries {
      let byteCount = child.name.byteCount + 1
      if position >= Int(offset) {
        // One byte is kept for the empty name.
        guard reply.count + byteCount < XenStoreProtocol.maximumPayloadByteCount else { return reply }
        child.name.append(to: &reply)
        reply.append(0)
      }
      position += byteCount
    }
    reply.append(0)
    return reply
  }

  func getPermissions(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    if let text = XenStorePayload.onlyString(request.payload), text.first == UInt8(ascii: "@") {
      return try specialPermissions(of: text, request).permissions.payload
    }
    return try node(at: try onlyPath(request), for: request, needing: .read).permissions.payload
  }

  // MARK: Changing

  func write(_ request: StoreRequest) throws(XenStoreError) {
    guard let (text, rest) = XenStorePayload.stringAndRest(request.payload) else { throw .invalidArgument }
    let path = try nodePath(text, request)
    let value = Array(rest)
    if request.transaction == nil { prepareToChangeValue() }
    if request.transaction == nil, let node = treeUnderFollowers.mutableNode(at: path) {
      try setValue(value, of: node, path, request)
    } else if let before = try footprint(at: path, for: request, needing: .write) {
      try count(value, in: before, at: path, for: request)
      if let transaction = request.transaction { setValue(value, at: path, in: transaction) }
    } else {
      try create(path, value: value, request)
    }
    audit(.write, path, request)
  }

  func makeDirectory(_ request: StoreRequest) throws(XenStoreError) {
    let path = try onlyPath(request)
    if try isPresent(path, request) { return }
    try create(path, value: [], request)
    audit(.makeDirectory, path, request)
  }

  func remove(_ request: StoreRequest) throws(XenStoreError) {
    let path = try onlyPath(request)
    guard let parent = path.parent else { throw .invalidArgument }
    if let transaction = request.transaction { takeSnapshot(for: transaction) }
    guard try isPresent(path, request) else {
      // Nothing to remove is as good as removed, as long as there is a place where it could have been.
      request.transaction?.noteAccess(parent)
      guard currentTree(of: request).node(at: parent) != nil else { throw .noEntry }
      return
    }
    removeNode(at: path, transaction: request.transaction)
    audit(.remove, path, request)
  }

  func setPermissions(_ request: StoreRequest) throws(XenStoreError) {
    guard let (text, rest) = XenStorePayload.stringAndRest(request.payload), let permissions = [XenStorePermission](payload: Array(rest)) else {
      throw .invalidArgument
    }
    try checkPermissionCount(permissions.count, for: request.connection)
    if text.first == UInt8(ascii: "@") {
      let special = try specialPermissions(of: text, request)
      guard request.connection.isPrivileged else { throw .accessDenied }
      specialPermissions[special.name] = permissions
      note(.specialPermissions(name: special.name, permissions))
      return
    }
    let path = try nodePath(text, request)
    if let transaction = request.transaction { takeSnapshot(for: transaction) }
    let old = try node(at: path, for: request, needing: .write).permissions
    guard isOwner(request.connection, of: old) else { throw .accessDenied }
    // Giving a node away would give its quota away (XSA-352).
    guard request.connection.isPrivileged || permissions[0].domain == old[0].domain else { throw .notPermitted }
    guard let before = try footprint(at: path, for: request, needing: .write) else { throw .noEntry }
    var after = before
    after.owner = permissions[0].domain
    after.permissionCount = permissions.count
    try count(change: before, to: after, at: path, for: request)
    change(path, request, .permissions(path, permissions)) { $0.setPermissions(permissions, at: path, generation: $1) }
    request.transaction?.namedDomains.formUnion(permissions.map(\.domain))
    audit(.setPermissions, path, request)
  }

  // MARK: Steps

  /// Changes the value of a node of the live tree, which has it alone.
  private func setValue(_ value: [UInt8], of node: XenStoreNode, _ path: XenStorePath, _ request: StoreRequest) throws(XenStoreError) {
    guard isAllowed(request.connection, .write, by: node.permissions) else { throw .accessDenied }
    try count(value, in: footprint(of: node, for: request.connection), at: path, for: request)
    let generation = nextGeneration()
    noteOldValue(of: node, at: path)
    node.value = value
    node.generation = generation
    version = generation
    note(.value(path, value))
    report(path, permissions: [node.permissions, parentPermissions(of: path, in: tree)])
  }

  private func setValue(_ value: [UInt8], at path: XenStorePath, in transaction: StoreTransaction) {
    let generation = nextGeneration()
    if transaction.isFollowing {
      transaction.setNewValue(value, at: path, generation: generation)
    } else {
      transaction.working.setValue(value, at: path, generation: generation)
    }
    transaction.noteChange(path, .changed)
  }

  private func count(_ value: [UInt8], in before: NodeFootprint, at path: XenStorePath, for request: StoreRequest) throws(XenStoreError) {
    var after = before
    after.valueByteCount = value.count
    try count(change: before, to: after, at: path, for: request)
  }

  /// Whether the node is there for the request to change; throws when the connection may not write to it or, for a missing one, above it.
  private func isPresent(_ path: XenStorePath, _ request: StoreRequest) throws(XenStoreError) -> Bool {
    do throws(XenStoreError) {
      _ = try node(at: path, for: request, needing: .write)
      return true
    } catch {
      guard error == .noEntry else { throw error }
      return false
    }
  }

  /// Changes one node that exists and reports it to those who may know it before or after.
  private func change(
    _ path: XenStorePath, _ request: StoreRequest, _ noted: @autoclosure () -> XenStoreChange, _ body: (inout XenStoreTree, UInt64) -> Void
  ) {
    let generation = nextGeneration()
    if let transaction = request.transaction {
      body(&transaction.working, generation)
      transaction.noteChange(path, .changed)
    } else {
      let isWatched = watches.isWatched(path)
      let before = isWatched ? tree.node(at: path)?.permissions : nil
      body(&tree, generation)
      version = generation
      note(noted())
      guard isWatched else { return }
      report(path, permissions: [before, tree.node(at: path)?.permissions, parentPermissions(of: path, in: tree)])
    }
  }

  /// Creates a node that is missing, and what is missing on the way to it. All inherit permissions; only the node itself is reported.
  private func create(_ path: XenStorePath, value: [UInt8], _ request: StoreRequest) throws(XenStoreError) {
    if let transaction = request.transaction { takeSnapshot(for: transaction) }
    // Only the permissions are kept of the nearest node: who holds the node itself makes the tree copy it.
    let (place, inherited, footprint) = nearestNode(to: path, for: request)
    var permissions = inherited
    if !request.connection.isPrivileged { permissions[0].domain = request.connection.domain }
    try countCreation(of: path, below: place, footprint, valueByteCount: value.count, permissions: permissions, for: request)

    let generation = nextGeneration()
    guard let transaction = request.transaction else {
      tree.create(value: value, permissions: permissions, at: path, generation: generation)
      version = generation
      noteCreation(of: path, below: place, value: value, permissions: permissions)
      report(path, permissions: [permissions, parentPermissions(of: path, in: tree)])
      return
    }
    transaction.working.create(value: value, permissions: permissions, at: path, generation: generation)
    // The node first, then what is above it, as the real daemon comes by: the order in which watches are told.
    transaction.noteChange(path, .changed)
    for depth in (place.depth..<path.depth).reversed() { transaction.noteChange(path.prefix(nameCount: depth), .silent) }
  }

  /// Notes a node that was created, and those that were created on the way to it from `place`.
  private func noteCreation(of path: XenStorePath, below place: XenStorePath, value: [UInt8], permissions: [XenStorePermission]) {
    guard journal.isOn else { return }
    for depth in (place.depth + 1)...path.depth {
      let created = path.prefix(nameCount: depth)
      note(.node(created, value: created == path ? value : [], permissions: permissions))
    }
  }

  /// Removes a node and everything below it; watches of what was below are told with their own path, before those of the node.
  func removeNode(at path: XenStorePath, transaction: StoreTransaction?) {
    let generation = nextGeneration()
    if let transaction {
      transaction.working.forEachNode(from: path) { below, _ in
        transaction.noteChange(below, below == path ? .changed : .removedWithAncestor)
        return true
      }
      if let parent = path.parent { transaction.noteChange(parent, .silent) }
      countRemoval(at: path, in: transaction.working, transaction: transaction)
      transaction.working.remove(at: path, generation: generation)
      return
    }
    let watchedBelow = watches.watchedPaths(below: path).compactMap { below -> (XenStorePath, [[XenStorePermission]?])? in
      guard let node = tree.node(at: below) else { return nil }
      return (below, [node.permissions, parentPermissions(of: below, in: tree)])
    }
    let permissions = [tree.node(at: path)?.permissions, parentPermissions(of: path, in: tree)]
    countRemoval(at: path, in: tree, transaction: nil)
    tree.remove(at: path, generation: generation)
    version = generation
    note(.removal(path))
    for (below, permissions) in watchedBelow { reportRemovalWithAncestor(of: below, permissions: permissions) }
    report(path, permissions: permissions)
  }

  private func nearestNode(to path: XenStorePath, for request: StoreRequest) -> (XenStorePath, [XenStorePermission], NodeFootprint) {
    let (path, node) = currentTree(of: request).nearestNode(to: path)
    return (path, node.permissions, footprint(of: node, for: request.connection))
  }

  func parentPermissions(of path: XenStorePath, in tree: XenStoreTree) -> [XenStorePermission]? {
    guard let parent = path.parent else { return nil }
    return tree.node(at: parent)?.permissions
  }
}
