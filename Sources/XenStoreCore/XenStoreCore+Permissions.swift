import XenInterface
import XenStoreWire

extension XenStoreCore {
  /// Whether a connection may do `access` to what carries `permissions`.
  func isAllowed(_ connection: StoreConnection, _ access: XenStorePermission.Access, by permissions: [XenStorePermission]) -> Bool {
    if connection.isPrivileged || isOwner(connection, of: permissions) { return true }
    let target = targets[connection.domain]
    let entry = permissions.dropFirst().first { $0.domain == connection.domain || $0.domain == target } ?? permissions.first
    return entry?.access.isSuperset(of: access) ?? false
  }

  /// Whether a connection acts as the owner, which the first entry names.
  func isOwner(_ connection: StoreConnection, of permissions: [XenStorePermission]) -> Bool {
    guard let owner = permissions.first?.domain else { return connection.isPrivileged }
    return connection.isPrivileged || owner == connection.domain || owner == targets[connection.domain]
  }

  /// The node at `path`, if the connection may do `access` to it.
  ///
  /// For a missing node the answer depends on the nearest node above it: without `access` to that one, a domain does not
  /// learn what exists (EACCES instead of ENOENT).
  func node(
    at path: XenStorePath, for request: StoreRequest, needing access: XenStorePermission.Access
  ) throws(XenStoreError) -> XenStoreNode {
    guard let node = nodeToLookAt(at: path, for: request) else {
      if !request.connection.isPrivileged {
        let nearest = currentTree(of: request).nearestNode(to: path)
        request.transaction?.noteAccess(nearest.path, generation: nearest.node.generation)
        guard isAllowed(request.connection, access, by: nearest.node.permissions) else { throw .accessDenied }
      }
      throw .noEntry
    }
    guard isAllowed(request.connection, access, by: node.permissions) else { throw .accessDenied }
    return node
  }

  /// The node that the request sees at `path`; its transaction has looked at it then.
  private func nodeToLookAt(at path: XenStorePath, for request: StoreRequest) -> XenStoreNode? {
    guard let transaction = request.transaction else { return tree.node(at: path) }
    if transaction.isFollowing {
      let node = nodeForFollower(transaction, at: path)
      if transaction.isFollowing { return node }
    }
    if transaction.baseVersion != version { beginLater(transaction, lookingAt: path, withAllBelow: request.packet.type == .remove) }
    transaction.noteAccess(path)
    return transaction.working.node(at: path)
  }

  /// What the request sees, but for what a follower has written: its transaction's tree, else the live one.
  func currentTree(of request: StoreRequest) -> XenStoreTree {
    guard let transaction = request.transaction, !transaction.isFollowing else { return tree }
    return transaction.working
  }
}
