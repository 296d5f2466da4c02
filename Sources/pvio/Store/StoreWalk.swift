import XenInterface
import XenStoreClient
import XenStoreWire

/// Reads a whole part of the store.
enum StoreWalk {
  struct Node {
    var path: String
    var name: String
    var value: String
    /// 0 for the children of where the walk began.
    var depth: Int
  }

  /// Everything below `path`, parents before children, in the store's order. Nodes that vanish meanwhile are left out.
  static func nodes(below path: String, _ store: some XenStoreAccess) async throws -> [Node] {
    // A stack of our own: the tree may be deeper than the thread's.
    var result: [Node] = []
    var pending = try await children(of: path, depth: 0, store).reversed() as [Node]
    while var node = pending.popLast() {
      guard let value = try await store.readIfPresent(node.path) else { continue }
      node.value = value
      result.append(node)
      do {
        pending += try await children(of: node.path, depth: node.depth + 1, store).reversed()
      } catch let error as XenStoreClientError where error.storeError == .noEntry || error.storeError == .accessDenied {}
    }
    return result
  }

  private static func children(of path: String, depth: Int, _ store: some XenStoreAccess) async throws -> [Node] {
    let base = path == "/" ? "" : path
    return try await store.directory(path).map { Node(path: "\(base)/\($0)", name: $0, value: "", depth: depth) }
  }
}
